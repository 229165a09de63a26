"""`rltk eval` of reward models: what accuracy on pairs is, by hand and against the scorer itself; what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rltk_reward_models.scorer import Scorer

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preference_text import preference_text
from rltk.data.preferences import load_preferences
from rltk.evaluation.pairs.rows import compare_pairs, summarize_pairs
from rltk.evaluation.pairs.tasks import Reading, load_pair_tasks
from rltk.recipe.schema import Data
from tests import files, runs, tiny
from tests.reward_models import models


def scored(prompt: str, scores: tuple[float, float], replies: tuple[str, str], subset: str | None = None) -> Any:
    lead = scores[0] - scores[1]
    return {
        "id": prompt,
        "subset": subset,
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": replies[0],
        "rejected": replies[1],
        "chosen_score": scores[0],
        "rejected_score": scores[1],
        "correct": (lead > 0) + 0.5 * (lead == 0),
        "truncated": prompt == "d",
    }


ROWS = [
    scored("a", (2.0, 1.0), ("long", "no"), "chat"),
    scored("b", (1.0, 2.0), ("long", "no"), "chat"),
    scored("c", (1.0, 1.0), ("no", "long"), "code"),
    scored("d", (3.0, 1.0), ("long", "no"), "code"),
]


def test_accuracy_by_hand() -> None:
    """Right, wrong, a tie and right: 2.5 of 4. The longer reply is the chosen one in 3 of 4."""
    found = summarize_pairs(ROWS)
    assert (found["accuracy"], found["n"], found["prompts"], found["ties"]) == (0.625, 4, 4, 1)
    assert found["length_baseline"]["prefers"] == "longer" and found["length_baseline"]["accuracy"] == 0.75
    assert found["lead"]["difference"] == -0.125
    assert {name: part["accuracy"] for name, part in found["by_subset"].items()} == {"chat": 0.5, "code": 0.75}
    assert found["truncated"] == 0.25
    bias = found["length_bias"]
    assert bias["chosen_longer"]["accuracy"] == pytest.approx(2 / 3) and bias["chosen_shorter"]["accuracy"] == 0.5


def test_two_models_by_hand() -> None:
    """B turns the wrong pair right and the tie wrong: A is ahead by (0 - 1 + 0.5 + 0) / 4."""
    better = [dict(ROWS[0]), scored("b", (2.0, 1.0), ("long", "no")), scored("c", (0.0, 1.0), ("no", "long")), ROWS[3]]
    better[2]["correct"] = 0.0
    found = compare_pairs(ROWS, better)
    assert (found["difference"], found["only_a"], found["only_b"], found["n"]) == (-0.125, 1, 1, 4)


@pytest.fixture(scope="module")
def models_of_rewards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("rewards")
    policy = tiny.folder(folder / "policy", "llama")
    return models.whole(folder / "whole"), models.adapter(folder / "adapter", policy)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As RewardBench has its rows, with two pairs of one prompt."""
    path = tmp_path_factory.mktemp("pairs") / "bench.jsonl"
    rows = [
        {
            "prompt": f"What is {i // 2} and {i // 2}?",
            "chosen": f"It is {i}.",
            "rejected": f"I do not know {'really ' * i}",
            "subset": ("math", "chat")[i % 2],
        }
        for i in range(7)
    ]
    return files.jsonl(path, rows)


def test_scores_are_those_of_the_scorer(
    models_of_rewards: tuple[Path, Path], pairs: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    whole, _ = models_of_rewards
    given = answer(whole, "--task", pairs, "--out", tmp_path / "out")["scores"]["bench"]
    scorer, loaded = Scorer.load(whole), load_preferences(PreferenceSource(str(pairs))).pairs
    texts = [preference_text(pair, scorer.tokenizer) for pair in loaded]
    chosen = [s.score for s in scorer.scores(text.prompt + text.chosen for text in texts)]
    rejected = [s.score for s in scorer.scores(text.prompt + text.rejected for text in texts)]
    wins = [float(one > other) for one, other in zip(chosen, rejected, strict=True)]
    assert given["accuracy"] == pytest.approx(sum(wins) / 7) and given["n"] == 7
    assert given["prompts"] == 4, "pairs of one prompt are one cluster"
    assert given["by_subset"]["math"]["accuracy"] == pytest.approx(sum(wins[::2]) / 4)
    rows = runs.rows(tmp_path / "out" / "items" / "bench.jsonl")
    assert [row["chosen_score"] for row in rows] == pytest.approx(chosen, abs=1e-5)
    assert runs.read(tmp_path / "out" / "scores.json") == {"bench": given}
    assert [row["subset"] for row in rows[:2]] == ["math", "chat"]


def test_two_models_on_the_same_pairs_live_and_kept(
    models_of_rewards: tuple[Path, Path], pairs: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    given = answer(models_of_rewards[0], "--against", models_of_rewards[1], "--task", pairs, "--out", tmp_path / "out")
    one, other = (given[key]["bench"]["accuracy"] for key in ("scores", "against_scores"))
    assert given["comparison"]["bench"]["difference"] == pytest.approx(one - other)
    kept = answer(tmp_path / "out", "--against", tmp_path / "out" / "against")
    assert kept["comparison"] == given["comparison"] and kept["scores"] == given["scores"]


def test_an_interrupted_evaluation_goes_on_to_the_same_bytes(
    models_of_rewards: tuple[Path, Path],
    pairs: Path,
    answer: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rltk.evaluation.pairs.measure.BLOCK", 2)
    command = (models_of_rewards[0], "--task", pairs, "--out", tmp_path / "out")
    given, items = answer(*command), tmp_path / "out" / "items" / "bench.jsonl"
    whole = items.read_bytes()
    items.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out" / "scores.json").unlink()
    assert answer(*command, "--resume") == given
    assert items.read_bytes() == whole


def test_what_is_mistyped_is_refused_before_anything_loads(
    models_of_rewards: tuple[Path, Path], pairs: Path, guesser: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    whole = models_of_rewards[0]
    assert refused(whole) == f"{whole} has no recipe that says what to evaluate on; add --task hh-rlhf, say."
    assert refused(whole, "--task", "dialog").endswith("did you mean dialogues?")
    assert refused(whole, "--task", pairs, "--samples", 2).startswith("--samples says how a policy is asked;")
    assert "is no reward model" in refused(whole, "--task", pairs, "--against", guesser)
    assert refused(guesser, "--task", "gsm8k", "--data-dir", "x").startswith("--data-dir is for preference pairs")
    assert refused(tmp_path / "absent", "--task", pairs).startswith(f"{tmp_path / 'absent'} does not exist")
    odd = shutil.copytree(models_of_rewards[1], tmp_path / "odd")
    config = runs.read(odd / "adapter_config.json") | {"base_model_name_or_path": 5}
    (odd / "adapter_config.json").write_text(json.dumps(config))
    assert "base_model_name_or_path = 5 is not a text or null" in refused(odd, "--task", pairs)


def test_embedded_pairs_lie_in_no_folder_of_data_sets(tmp_path: Path) -> None:
    held_out = Reading(Data(path="embedded/dialogues"), "test", limit=2, root=str(tmp_path), data_dir=None)
    [task] = load_pair_tasks(["heldout"], held_out)
    assert len(task.pairs) == 2
