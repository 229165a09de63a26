"""`rltk scaling run`: which runs a grid is, what it refuses, and what a finished one leaves for `rltk scaling fit`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rltk.cli import main
from rltk.compare.plan import Planned, folder_of
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.recipe.schema import Recipe
from rltk.run.folder import RunFolder
from rltk.scaling.grid import Grid, begin, check_grid, read_grid, survey
from rltk.scaling.read import collect
from rltk.scaling.rows import rows
from tests import runs
from tests.forks import ROOT, SOURCES

ARMS = ("lora-2", "full")


def grid(
    path: Path,
    *,
    arms: Any = ARMS,
    algo: Any = None,
    data_path: str = "embedded/word-problems",
    tasks: Any = ("heldout",),
    **scaling: Any,
) -> Grid:
    algo = algo or {"type": "sft", "batch": 8}
    values: dict[str, Any] = {
        "name": "made",
        "model": {"path": "embedded/policy"},
        "data": {"path": data_path, "size": 64},
        "algo": algo,
        "rewards": {"true": {"type": "gold"}} if algo["type"] == "grpo" and "dialogues" in data_path else {},
        "eval": {"tasks": tasks},
        "tune": {"type": "lora"},
        "compare": {"arms": arms, "rates": {"centre": 0.001}, "scaling": {"data": [16, 32, 64], **scaling}},
    }
    return Grid(path, Recipe.model_validate(values))


def write(grid: Grid, run: Planned, *, wrong: int, loss: float, status: str = "finished") -> None:
    folder = RunFolder(folder_of(grid, run))
    failure = {"failure": "it diverged"} if status == "failed" else {}
    folder.update_manifest(recipe=resolved(run.recipe), recipe_hash=recipe_hash(run.recipe), status=status, **failure)
    for step in range(run.recipe.optim.steps):
        folder.log({"step": step + 1, "loss": loss + 9.0 * (step < run.recipe.optim.steps - 1)})
    folder.add_scores("after", {"word-problems": {"accuracy": 1 - wrong / 100, "n": 100}})


def test_a_grid_is_every_arm_at_every_size_with_as_many_steps_as_one_pass_takes(tmp_path: Path) -> None:
    made = grid(tmp_path, rates=2, seeds=2)
    found = [(point.data, point.arm, sorted(point.runs)) for point in made.points]
    rates = {"lora-2": [0.00316, 0.01], "full": [0.000316, 0.001]}  # LoRA's centre is ten times full fine-tuning's
    assert found == [(data, arm, rates[arm]) for data in (16, 32, 64) for arm in ARMS]
    for point in made.points:
        for lr, of_rate in point.runs.items():
            assert [run.seed for run in of_rate] == [0, 1]
            assert {run.recipe.optim.steps for run in of_rate} == {point.data // 8}
            assert {run.recipe.optim.lr for run in of_rate} == {lr}
            assert not any(run.recipe.eval.before for run in of_rate)
    assert len({run.id for run in survey(made).runs}) == 3 * 2 * 2 * 2


def test_a_larger_grid_finds_the_runs_of_a_smaller(tmp_path: Path) -> None:
    small, large = grid(tmp_path), grid(tmp_path, data=[8, 16, 32, 64], seeds=2)
    for run in survey(small).runs:
        write(small, run, wrong=10, loss=1.0)
    begin(large)
    assert survey(small).pending == [] and read_grid(tmp_path) == large
    assert len(survey(large).pending) == 4 * 2 * 2 - 6


def test_rows_are_those_of_the_best_rate_and_a_failed_run_is_no_number(tmp_path: Path) -> None:
    """Of 100 answers 20 or 30 are wrong: (20 + 0.5) / 101. At size 64 both of an arm's rates fail with some seed."""
    made = grid(tmp_path, rates=2, seeds=2)
    for point in made.points:
        for place, (_, of_rate) in enumerate(sorted(point.runs.items())):
            for run in of_rate:
                diverged = point.data == 64 and point.arm == "full" and run.seed == 1
                status = "failed" if diverged else "finished"
                write(made, run, wrong=20 + 10 * place, loss=1.0, status=status)
    found = rows(made, survey(made))
    assert len(found) == 3 * 2 * 2 and {row["rates_tried"] for row in found} == {2}
    assert {row["lr"] for row in found} == {0.00316, 0.000316}
    known = [row["loss"] for row in found if row["loss"] == row["loss"]]
    assert known == [pytest.approx(20.5 / 101)] * 11
    read = collect("results", [(str(index), row) for index, row in enumerate(found)])
    assert read.failed == 1 and {arm: len(of_arm) for arm, of_arm in read.arms.items()} == {"lora-2": 6, "full": 5}
    assert all(run.size == 1 for of_arm in read.arms.values() for run in of_arm)


def test_the_training_loss_is_that_of_the_last_tenth_and_a_point_waits_for_all_its_runs(tmp_path: Path) -> None:
    """The last of two, four or eight steps; all others have 9 more."""
    made = grid(tmp_path, loss="training", seeds=2)
    first, *others = survey(made).runs
    for run in others:
        write(made, run, wrong=0, loss=1.5)
    found = rows(made, survey(made))
    assert [row["loss"] for row in found] == [1.5] * 10
    write(made, first, wrong=0, loss=1.5, status="running")
    assert [run.id for run in survey(made).pending] == [first.id] and len(rows(made, survey(made))) == 10


PAIRS = [("sft", "embedded/dialogues"), ("dpo", "embedded/dialogues"), ("reward_model", "embedded/dialogues")]


@pytest.mark.parametrize(("algo", "data"), [*PAIRS, ("dpo", "embedded/word-problems")])
@pytest.mark.parametrize("loss", ["error", "training"])
def test_what_is_scored_by_pairs_makes_a_grid_too(tmp_path: Path, algo: str, data: str, loss: str) -> None:
    """Its evaluation has no samples to spare; of 100 pairs 30 are ranked wrong: (30 + 0.5) / 101."""
    made = grid(tmp_path, algo={"type": algo, "batch": 8}, data_path=data, loss=loss)
    check_grid(made)
    for run in survey(made).runs:
        assert not run.recipe.eval.before
        write(made, run, wrong=30, loss=0.25)
    expected = {"error": 30.5 / 101, "training": 0.25}[loss]
    assert [row["loss"] for row in rows(made, survey(made))] == pytest.approx([expected] * 6)


def test_a_run_is_evaluated_on_one_task_by_one_completion(tmp_path: Path) -> None:
    made = grid(tmp_path, tasks=["heldout", "loss"])
    check_grid(made)
    assert {(run.recipe.eval.tasks, run.recipe.eval.samples) for run in survey(made).runs} == {(("heldout",), 0)}


def test_held_out_loss_is_a_grids_task_where_the_law_is_of_training(tmp_path: Path) -> None:
    made = grid(tmp_path, tasks=["loss"], loss="training")
    check_grid(made)
    assert {run.recipe.eval.tasks for run in survey(made).runs} == {("loss",)}


def test_models_bring_their_sizes(tmp_path: Path) -> None:
    """Parameters of the two as published, tied embeddings once."""
    made = grid(tmp_path, models=["Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B"])
    assert made.sizes == {"Qwen/Qwen3-0.6B": 596_049_920, "Qwen/Qwen3-1.7B": 1_720_574_976}
    assert {point.model for point in made.points} == set(made.sizes)
    assert {run.recipe.model.path for run in survey(made).runs} == set(made.sizes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": [16, 20]}, "compare.scaling.data has 20, which algo.batch \\(8\\) does not divide"),
        ({"data": [64, 128]}, "compare.scaling.data has 128, and data.size is 64"),
        ({"loss": "training", "algo": {"type": "grpo", "prompts": 8}}, "the loss of grpo says nothing"),
        ({"tasks": ["loss"]}, "loss is error, the share of answers that is wrong, and eval.tasks begins with loss"),
        (
            {"algo": {"type": "grpo", "prompts": 8}, "data_path": "embedded/dialogues"},
            "grpo on preferences is scored by its mean reward",
        ),
    ],
)
def test_a_grid_that_leaves_nothing_to_fit_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_grid(grid(tmp_path, **changes))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["run", "gsm8k_sft", "--draws", "3"], "--draws goes with `rltk scaling fit`"),
        (["fit", "x.jsonl", "--jobs", "3"], "--jobs goes with `rltk scaling run`"),
        (["fit", "x.jsonl", "a=b"], "key=value goes with `rltk scaling run`"),
        (["run", "gsm8k_sft", "--on", "there"], "there must be ray, or an address such as ray://host:10001"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scaling", *argv]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_a_grid_is_made_gone_on_with_and_fitted(guesser: Path, tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    compare = {"arms": list(ARMS), "rates": {"centre": 0.003}, "scaling": {"data": [8, 16], "loss": "training"}}
    sections = {"algo": {"type": "sft", "batch": 4}, "run": {}, "compare": compare}
    path = written(tmp_path, guesser, **sections)
    command = [sys.executable, "-m", "rltk", "scaling", "run"]
    environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(*argv: str) -> dict[str, Any]:
        done = subprocess.run([*command, *argv, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    nothing = run(str(path), "--out", str(folder), "--budget", "0s")
    assert (nothing["status"], nothing["missing"], nothing["rows"]) == ("unfinished", 4, 0)
    made = run(str(folder))
    assert (made["status"], made["missing"], made["rows"]) == ("finished", 0, 4)
    results = Path(made["results"])
    before = results.read_bytes()
    found = [json.loads(line) for line in before.splitlines()]
    assert {(row["arm"], row["data"]) for row in found} == {(arm, data) for arm in ARMS for data in (8, 16)}
    for row in found:
        steps = runs.rows(Path(row["run"]) / "metrics.jsonl")
        assert len(steps) == row["data"] // 4 and row["loss"] == steps[-1]["loss"] > 0
    assert run(str(folder))["status"] == "finished" and results.read_bytes() == before


def written(folder: Path, model: Path, **sections: Any) -> Path:
    """A recipe of the tests' own, without what SFT has no use for."""
    path = runs.write_recipe(folder, model)
    values = yaml.safe_load(path.read_text()) | sections
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path
