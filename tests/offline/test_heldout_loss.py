"""SFT scored by the log-loss of held-out solutions, and what a run on data says of its adapter."""

import math
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.offline.course import Course
from rltk.offline.heldout_loss import summarize
from rltk.offline.rows import Lesson, Pair
from tests import runs
from tests.offline.made import TUNES, write_recipe

LOSS = {"tasks": ["loss"], "samples": 0, "split": "validation", "every": 2}


def test_the_loss_is_nats_over_tokens_and_its_interval_that_of_a_ratio() -> None:
    """3 nats over 4 tokens; residuals of +-0.5 from 0.75 a token; t of one degree of freedom is tan 0.475 pi."""
    found = summarize([{"nats": 2.0, "tokens": 2}, {"nats": 1.0, "tokens": 2}])
    assert found["loss"] == 0.75 and found["tokens"] == 4 and found["n"] == 2
    half = math.tan(0.475 * math.pi) * math.sqrt(0.5 * 2) / 4
    assert found["ci95"] == pytest.approx([0.75 - half, 0.75 + half])
    assert math.isnan(summarize([{"nats": 2.0, "tokens": 2}])["ci95"][0])


@pytest.mark.parametrize("tune", TUNES)
def test_a_run_is_scored_by_the_loss_of_what_it_holds_out(tune: str, guesser: Path, tmp_path: Path) -> None:
    sections = {"data": {"validation": 5}, "eval": LOSS, "tune": TUNES[tune], "optim": {"steps": 4, "lr": 0.01}}
    recipe, run = write_recipe(tmp_path, guesser, "sft", **sections), tmp_path / "run"
    assert main(["train", str(recipe), "--quiet", "--run", str(run)]) == 0
    scores = runs.read(run / "scores.json")
    assert list(scores["after"]) == ["loss"] and scores["after"]["loss"]["n"] == 5
    assert scores["after"]["loss"]["loss"] < scores["before"]["loss"]["loss"]
    items = runs.rows(run / "items" / "before-loss.jsonl")
    assert sum(item["nats"] for item in items) / sum(item["tokens"] for item in items) == pytest.approx(
        scores["before"]["loss"]["loss"]
    )
    rows, described = runs.rows(run / "metrics.jsonl"), runs.read(run / "adapter.json")
    assert [row["step"] for row in rows if "heldout_loss" in row] == [2]
    assert scores["after"]["loss"]["loss"] < rows[1]["heldout_loss"] < scores["before"]["loss"]["loss"]
    assert described["tune"] == tune and described["bits_offered"] == rows[-1]["bits_offered"]
    assert rows[0]["bits_offered"] == pytest.approx(rows[0]["loss"] * rows[0]["tokens"] / math.log(2))


def test_an_example_offers_its_bits_once() -> None:
    """Batches of two of three lessons: the second step has one that is new, the third none."""
    lessons = [Lesson([1], [2, 3]), Lesson([1], [2, 3]), Lesson([1], [2, 3])]
    course = Course(lessons, [[0, 1], [2, 0], [1, 2]])
    assert [course.news(step) for step in range(3)] == [1.0, 0.5, 0.0]
    assert course.bits(0, math.log(2)) == pytest.approx(4) and course.bits(1, math.log(2)) == pytest.approx(2)
    pairs = Course([Pair([1], [2], [3]), Pair([1], [2], [4])], [[0, 1], [1, 0]])
    assert pairs.bits(0, 0.1) == 2 and pairs.bits(1, 0.1) == 0


@pytest.mark.parametrize("algorithm", ["dpo", "reward_model"])
def test_the_loss_is_for_supervised_runs(
    algorithm: str, guesser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, guesser, algorithm, eval={"tasks": ["loss"]})
    assert main(["train", str(recipe), "--run", str(tmp_path / "run")]) == 2
    assert "eval.tasks" in capsys.readouterr().err and not (tmp_path / "run").exists()
