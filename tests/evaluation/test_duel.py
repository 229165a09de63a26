"""`rltk eval A --against B --judge R`: win rates that follow from the judge's own scores, and what is refused."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rltk_reward_models.scorer import Scorer
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase

from rltk.cli import main
from rltk.data.preference_text import prompt_text
from rltk.data.transcripts import Message
from rltk.evaluation.duel.judge import win_rate
from rltk.evaluation.duel.tables import show_duel
from tests import asked, runs, tiny
from tests.reward_models import models

END = "<|end|>"
SHORT = ("--max-new-tokens", 4, "--samples", 2, "--limit", 6)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.whole(tmp_path_factory.mktemp("judge") / "judge")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("other") / "other", "llama")


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    return lambda *argv: asked.answers("eval", capfd)(*argv)["scores"]


def test_win_rates_by_hand() -> None:
    """Two samples of one prompt and one of another: a win, a tie and a loss by 2."""
    rows = [
        {"id": id, "win": win, "a_score": a, "b_score": b, "judge_truncated": False}
        | {f"{side}_{key}": 1 for side in "ab" for key in ("tokens", "truncated")}
        for id, win, a, b in (("x", 1.0, 1.0, 0.0), ("x", 0.5, 1.0, 1.0), ("y", 0.0, 0.0, 2.0))
    ]
    found = win_rate(rows)
    assert (found["win_rate"], found["n"], found["prompts"], found["ties"]) == (0.5, 3, 2, 1)
    assert found["difference"] == pytest.approx(-1 / 3)
    # sums of deviations of the two prompts: 5/3 and -5/3; error = sqrt(2 * 25/9 * 2) / 3
    # t of one degree of freedom is tan 0.475 pi
    half = math.tan(0.475 * math.pi) * (2 * 25 / 9 * 2) ** 0.5 / 3
    assert found["difference_ci95"] == pytest.approx([-1 / 3 - half, -1 / 3 + half])


def test_scores_are_the_judges_and_turn_with_the_sides(
    guesser: Path, other: Path, judge: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    task = runs.problems(tmp_path / "p.jsonl", 6)
    given = answer(guesser, "--against", other, "--judge", judge, "--task", task, *SHORT, "--out", tmp_path / "out")[
        "p"
    ]
    turned = answer(other, "--against", guesser, "--judge", judge, "--task", task, *SHORT)["p"]
    for decoding, count in (("greedy", 6), ("sampled", 12)):
        assert given[decoding]["n"] == count and given[decoding]["prompts"] == 6
        assert given[decoding]["win_rate"] == pytest.approx(1 - turned[decoding]["win_rate"])
        assert given[decoding]["difference"] == pytest.approx(-turned[decoding]["difference"], abs=1e-5)
    assert runs.names(tmp_path / "out") == [".lock", "completions", "items", "scores.json", "settings.json"]
    rows, scorer = runs.rows(tmp_path / "out" / "items" / "p.jsonl"), Scorer.load(judge)
    texts = [read(row, side, scorer.tokenizer) for row in rows for side in "ab"]
    given_scores = [row[f"{side}_score"] for row in rows for side in "ab"]
    assert given_scores == pytest.approx([alone.score for alone in scorer.scores(texts)], abs=1e-5)
    assert {text.endswith(END) for text in texts} == {True, False}, "some were cut off, and some were not"


def read(row: dict[str, Any], side: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the judge is to read: in training a completion that was cut off has no end."""
    prompt = tuple(Message(**message) for message in row["prompt"])
    return prompt_text(prompt, tokenizer) + row[side] + ("" if row[f"{side}_truncated"] else END)


def test_the_table_has_a_cell_in_every_column(capsys: pytest.CaptureFixture[str]) -> None:
    keys = ("win_rate", "n", "ties", "a_score", "b_score", "difference")
    score = dict.fromkeys(keys, 0.5) | {"ci95": [0.1, 0.9], "difference_ci95": [-1.0, 1.0]}
    show_duel({"p": {"greedy": score | {"a_tokens": 31.25, "b_tokens": 1234.0}}}, ("one", "other"), "judge")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split()[-2:] == ["31.2", "1,234.0"]


def test_a_judge_that_gives_no_numbers_ends_it_with_a_sentence(
    guesser: Path, judge: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = shutil.copytree(judge, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    save_file({name: w * torch.nan for name, w in weights.items()}, broken / "model.safetensors", {"format": "pt"})
    argv = (guesser, "--against", guesser, "--judge", broken, "--task", "dialogues", *SHORT, "--quiet")
    assert main(["eval", *map(str, argv)]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("rltk: completions of ") and "could not be scored: conversation 0 scored nan" in said


def test_a_policy_against_itself_ties_on_pairs_prompts_and_goes_on_where_it_stopped(
    guesser: Path, judge: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    command = (
        guesser,
        "--against",
        guesser,
        "--judge",
        judge,
        "--task",
        "dialogues",
        *SHORT,
        "--out",
        tmp_path / "out",
    )
    given = answer(*command)["dialogues"]
    assert all(found["win_rate"] == 0.5 and found["ties"] == found["n"] for found in given.values())
    items = tmp_path / "out" / "items" / "dialogues.jsonl"
    whole = items.read_bytes()
    items.write_bytes(whole[:1000])
    (tmp_path / "out" / "scores.json").unlink()
    assert answer(*command, "--resume")["dialogues"] == given
    assert items.read_bytes() == whole


def test_what_cannot_be_judged_is_refused(guesser: Path, judge: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for argv, sentence in (
        ((guesser, "--judge", judge), "--judge compares two policies; name the other with --against"),
        ((guesser, "--against", judge, "--judge", judge), "is a reward model; with --judge two policies"),
        ((guesser, "--against", guesser, "--judge", guesser), "is no reward model"),
        ((guesser, "--against", guesser, "--judge", judge, "--k", 1), "--k is about right answers"),
    ):
        assert main(["eval", *map(str, argv), "--task", "dialogues"]) == 2
        printed = capfd.readouterr()
        assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out
