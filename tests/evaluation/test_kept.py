"""`rltk eval --out`: killed or interrupted anywhere it goes on to the very files of one that was not; and streams."""

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from tests import runs
from tests.forks import Forks

KILLED = -signal.SIGKILL
COUNT, SAMPLES = 140, 4
"""Problems; they make one greedy block and three sampled ones."""
KEPT = ["items", "scores.json", "settings.json"]


@pytest.fixture(scope="module")
def options(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    problems = runs.problems(tmp_path_factory.mktemp("problems") / "test.jsonl", COUNT)
    argv = (str(guesser), "--task", str(problems), "--samples", str(SAMPLES), "--k", "1", "4")
    return (*argv, "--max-new-tokens", "4", "--seed", "3")


@pytest.fixture(scope="module")
def whole(forks: Forks, options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert forks.run("eval", *options, "--out", str(out)).code == 0
    score = runs.read(out / "scores.json")["test"]
    assert 0 < score["sampled"]["accuracy"] < 1, "else anything would resume to it"
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def lines(out: Path) -> int:
    return (out / "items" / "test.jsonl").read_bytes().count(b"\n")


MOMENTS = {
    "before anything is kept": ("rltk.rollout.evaluate.grade_items", 1, 0),
    "in the second block": ("rltk.rollout.evaluate.grade_items", 2, COUNT),
    "between write and sync of the third": ("os.fsync", 7, COUNT + 2 * 256),
    "before the scores": ("rltk.commands.sides.write_results", 1, COUNT * (1 + SAMPLES)),
}


FAST = ("in the second block", "before the scores")


@pytest.mark.parametrize(
    "moment", [moment if moment in FAST else pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS]
)
def test_a_killed_evaluation_goes_on_to_the_same_bytes(
    moment: str, forks: Forks, options: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    at, call, kept = MOMENTS[moment]
    argv = ("eval", *options, "--out", str(tmp_path / "out"))
    assert forks.run(*argv, at=at, call=call).code == KILLED
    assert lines(tmp_path / "out") == kept and not (tmp_path / "out" / "scores.json").exists()
    done = forks.run(*argv, "--resume")
    assert (done.code, done.err) == (0, "test 280/280\n" if kept < COUNT * (1 + SAMPLES) else "")
    assert files(tmp_path / "out") == files(whole)


def test_half_a_row_and_half_a_block_are_made_again(
    forks: Forks, options: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    argv = ("eval", *options, "--out", str(tmp_path / "out"))
    assert forks.run(*argv, at="rltk.rollout.evaluate.grade_items", call=3).code == KILLED
    path = tmp_path / "out" / "items" / "test.jsonl"
    os.truncate(path, path.stat().st_size - 40)
    assert forks.run(*argv, "--resume").code == 0
    assert files(tmp_path / "out") == files(whole)


@pytest.mark.parametrize("asked", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_an_interrupt_says_how_to_go_on(
    asked: str, forks: Forks, options: tuple[str, ...], whole: Path, tmp_path: Path
) -> None:
    argv = ("eval", *options, "--out", str(tmp_path / "an out"))
    done = forks.run(*argv, at="rltk.rollout.evaluate.grade_items", call=3, signals=(asked,))
    assert (done.code, done.out) == (130, "")
    assert done.err == f"interrupted; go on with: {shlex.join(['rltk', *argv, '--resume'])}\n"
    _, *command = shlex.split(done.err.partition("with: ")[2])
    again = forks.run(*command, "--json", at="rltk.rollout.evaluate.grade_items", call=1, signals=(asked,))
    assert sorted(shlex.split(json.loads(again.out)["resume"])) == sorted(["rltk", *command, "--json"])
    assert forks.run(*command).code == 0
    assert files(tmp_path / "an out") == files(whole)


def test_an_interrupt_before_anything_is_kept_starts_anew(
    forks: Forks, options: tuple[str, ...], tmp_path: Path
) -> None:
    argv = ("eval", *options, "--out", str(tmp_path / "out"))
    done = forks.run(*argv, at="rltk.evaluation.measure.load_weights", call=1, signals=("SIGINT",))
    assert (done.code, done.err) == (130, f"interrupted; go on with: {shlex.join(['rltk', *argv])}\n")
    assert not (tmp_path / "out").exists()


def test_without_a_folder_an_interrupt_says_what_would_have_helped(forks: Forks, options: tuple[str, ...]) -> None:
    done = forks.run("eval", *options, at="rltk.rollout.evaluate.grade_items", call=1, signals=("SIGINT",))
    assert (done.code, done.err) == (130, "interrupted; with --out DIR an evaluation can be gone on with\n")


def test_a_finished_evaluation_is_told_again_without_its_model(
    forks: Forks, options: tuple[str, ...], whole: Path
) -> None:
    before = files(whole)
    again = forks.run("eval", *options, "--out", str(whole), "--resume", at="rltk.rollout.evaluate.grade_items", call=1)
    assert (again.code, again.err) == (0, "") and files(whole) == before
    told = forks.run("eval", str(whole))
    assert told.out.splitlines()[1:4] == again.out.splitlines()[1:4]


def test_another_setting_is_refused_by_name(options: tuple[str, ...], whole: Path, capsys: Any) -> None:
    def refused(*more: object) -> str:
        assert main(["eval", *options, *map(str, more), "--out", str(whole), "--resume"]) == 2
        return capsys.readouterr().err

    end = "; resume it with the same, or name another folder.\n"
    begin = f"rltk: the evaluation in {whole} began with other settings: "
    assert refused("--seed", 4) == f"{begin}seed was 3 and is 4{end}"
    assert refused("--temperature", 0.5, "--max-new-tokens", 5) == (
        f"{begin}max_new_tokens was 4 and is 5, temperature was 1.0 and is 0.5{end}"
    )
    assert "tasks.test.problems was 140 and is 139, tasks.test.hash was " in refused("--limit", 139)
    assert "tasks.test.prompt.name was plain@1 and is gsm8k/zero-shot@1" in refused("--prompt", "gsm8k/zero-shot@1")
    assert "it holds an evaluation; add --resume" in refused_without_resume(options, whole, capsys)


def refused_without_resume(options: tuple[str, ...], whole: Path, capsys: Any) -> str:
    assert main(["eval", *options, "--out", str(whole)]) == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_other_weights_are_another_evaluation(
    guesser: Path, forks: Forks, options: tuple[str, ...], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    runs.guesser(model, tie_word_embeddings=True)
    argv = ("eval", str(model), *options[1:], "--out", str(tmp_path / "out"))
    assert forks.run(*argv, at="rltk.rollout.evaluate.grade_items", call=2).code == KILLED
    runs.guesser(model, tie_word_embeddings=True, seed=1)
    done = forks.run(*argv, "--resume")
    assert done.code == 2 and "began with other settings: weights was " in done.err


def test_neither_batch_nor_limit_changes_what_an_item_draws(
    options: tuple[str, ...], whole: Path, tmp_path: Path, capsys: Any
) -> None:
    assert main(["eval", *options, "--batch", "7", "--out", str(tmp_path / "batch")]) == 0
    assert files(tmp_path / "batch") == files(whole)
    assert main(["eval", *options, "--limit", "50", "--out", str(tmp_path / "limit")]) == 0
    fewer = runs.rows(tmp_path / "limit" / "items" / "test.jsonl")
    drawn = {(row["decoding"], row["id"], row["sample"]): row for row in runs.rows(whole / "items" / "test.jsonl")}
    assert len(fewer) == 50 * (1 + SAMPLES)
    assert all(drawn[row["decoding"], row["id"], row["sample"]] == row for row in fewer)
    texts = [row["completion"] for row in fewer if row["decoding"] == "sampled"]
    assert len(set(texts)) > len(texts) / 2, "each has a stream of its own"
    capsys.readouterr()
