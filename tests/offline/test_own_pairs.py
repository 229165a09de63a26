"""Pairs that the starting policy writes: right ones preferred to wrong ones, and a clear end where there are none."""

from pathlib import Path

import pytest
from rltk_eval.answers import grade_number

from rltk.cli import main
from tests import files, runs
from tests.offline.made import write_recipe


def test_right_answers_are_preferred_to_wrong_ones(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe, run = write_recipe(tmp_path, guesser, "dpo", "problems", algo={"samples": 4, "pairs": 2}), tmp_path / "run"
    assert main(["train", str(recipe), "--run", str(run)]) == 0
    pairs = runs.rows(run / "pairs.jsonl")
    assert f"{len(pairs)} pairs from " in capfd.readouterr().err
    assert 0 < len(pairs) <= 4 * 4, "as many as the steps take at most"
    golds = {row["question"]: row["answer"].split()[-1] for row in runs.rows(tmp_path / "train.jsonl")}
    for pair in pairs:
        (asked,), (chosen,), (rejected,) = pair["prompt"], pair["chosen"], pair["rejected"]
        assert grade_number(chosen["content"], golds[asked["content"]]).correct
        assert not grade_number(rejected["content"], golds[asked["content"]]).correct
    assert list(runs.read(run / "scores.json")["after"]) == ["test"], "accuracy on problems, as on-policy runs have it"
    assert {"chosen_reward", "rejected_reward", "margin", "accuracy"} <= runs.rows(run / "metrics.jsonl")[0].keys()


def test_a_policy_without_right_answers_makes_no_pairs(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, guesser, "dpo", "problems", eval={"before": False})
    rows = [{"question": f"What is {i}?", "answer": "#### 123456"} for i in range(4)]
    files.jsonl(tmp_path / "train.jsonl", rows)
    assert main(["train", str(recipe), "--quiet"]) == 2
    said = capfd.readouterr().err
    assert said.startswith(
        "rltk: the starting policy gives no pair of a correct and an incorrect answer (0 pairs from "
    )
    assert said.count("\n") == 1
