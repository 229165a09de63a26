"""A policy paid by the word pads its replies, which gold dislikes: the watch ends the run, and says so everywhere."""

import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rltk.cli import main
from rltk.run.atomic import write_json
from rltk.run.overoptimisation import find_turn, read_looks
from tests import files, runs

STEPS = 16
WORDY = "def wordy(problem, completion):\n    return min(len(completion.split()), 40) / 10\n"
RECIPE: dict[str, Any] = {
    "name": "wordy",
    "model": {"path": "embedded/policy", "dtype": "float32"},
    "data": {"path": "embedded/dialogues", "size": 200},
    "algo": {"type": "grpo", "prompts": 8, "group": 6, "kl": 0.001, "mask_truncated": False},
    "tune": {"type": "lora", "rank": 4},
    "optim": {"steps": STEPS, "lr": 0.004},
    "rollout": {"max_new_tokens": 40},
    "eval": {"limit": 24, "samples": 0, "every": 2},
    "run": {"checkpoint_every": 2},
}


class Ended(NamedTuple):
    run: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("wordy")
    (folder / "wordy.py").write_text(WORDY, encoding="utf-8")
    reward = {"wordy": {"type": "python", "path": str(folder / "wordy.py")}}
    recipe, run = files.recipe(folder / "recipe.yaml", RECIPE, {"rewards": reward}), folder / "run"
    return trained(run, str(recipe), "--run", str(run), "--stop-on-overoptimisation")


def trained(run: Path, *words: str) -> Ended:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["train", *words])
    return Ended(run, code, out.getvalue(), err.getvalue())


def test_it_ends_at_the_first_evaluation_that_shows_the_turn(ended: Ended) -> None:
    assert ended.code == 0
    rows, manifest = runs.rows(ended.run / "metrics.jsonl"), runs.read(ended.run / "manifest.json")
    last, looks = rows[-1], [row for row in rows if "heldout_gold_reward" in row]
    assert last["step"] == len(rows) < STEPS and last is looks[-1]
    assert [row["step"] for row in rows if "overoptimised" in row] == [last["step"]]
    before = runs.read(ended.run / "scores.json")["before"]["dialogues"]
    assert last["heldout_gold_reward"] < before["gold_reward"]["reward"] and last["heldout_reward"] > before["reward"]
    assert manifest["status"] == "finished"
    assert manifest["stopped"] == {"step": last["step"], "overoptimised": last["overoptimised"]}
    seen = read_looks(ended.run / "items", "dialogues", [row["step"] for row in looks])
    turns = [find_turn(seen[:count]) for count in range(1, len(seen) + 1)]
    assert len(turns) > 1 and turns[:-1] == [None] * (len(turns) - 1) and str(turns[-1]) == last["overoptimised"]


def test_what_it_leaves_is_the_policy_that_was_looked_at_last(ended: Ended) -> None:
    last = runs.rows(ended.run / "metrics.jsonl")[-1]
    after = runs.read(ended.run / "scores.json")["after"]["dialogues"]
    assert (after["reward"], after["gold_reward"]["reward"]) == (last["heldout_reward"], last["heldout_gold_reward"])
    assert runs.names(ended.run / "checkpoints")[-1] == f"step-{last['step']:06d}"
    assert "adapter_model.safetensors" in runs.names(ended.run / "model")
    assert (ended.run / "adapter.json").is_file()


def test_it_is_said_where_one_looks(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = runs.read(ended.run / "manifest.json")["stopped"]
    assert f"stopped after step {stopped['step']}: {stopped['overoptimised']}\n" in ended.err
    assert ended.out.startswith(f"ended early, after step {stopped['step']} of {STEPS}: over-optimised\ndialogues: ")
    page = (ended.run / "report.html").read_text(encoding="utf-8")
    assert f"Ended early, after step {stopped['step']}: from step " in page
    assert "<h3>Reward and gold reward, held out, over KL</h3>" in page
    assert main(["runs", str(ended.run.parent)]) == 0
    shown = capsys.readouterr().out
    assert " finished early " in shown and f" {stopped['step']}/{STEPS} " in shown
    assert main(["runs", str(ended.run.parent), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["status"], row["ended_early"], row["steps"]) == ("finished", True, stopped["step"])


def test_a_finished_one_does_not_go_on(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    step = runs.read(ended.run / "manifest.json")["stopped"]["step"]
    assert main(["train", str(ended.run), "--resume"]) == 2
    assert capsys.readouterr().err == (
        f"rltk: {ended.run} is finished, early after step {step} because its reward was over-optimised; "
        f"look at it with: rltk report {ended.run}\n"
    )


@pytest.mark.parametrize("lost", ["the last evaluation", "the last checkpoint too"])
def test_one_that_was_killed_at_the_end_comes_to_the_same_end(lost: str, ended: Ended, tmp_path: Path) -> None:
    """It must not train on: with its checkpoint there is no step left to make, and without it the same ones."""
    run = tmp_path / "run"
    shutil.copytree(ended.run, run)
    manifest, scores = runs.read(run / "manifest.json"), runs.read(run / "scores.json")
    write_json(run / "manifest.json", manifest | {"status": "running"})
    write_json(run / "scores.json", {"before": scores["before"]})
    newest = sorted((run / "checkpoints").iterdir())[-1]
    if lost == "the last checkpoint too":
        (newest / "weights.safetensors").write_bytes(b"damaged")
    resumed = trained(run, str(run), "--resume")
    assert (resumed.code, resumed.out) == (0, ended.out)
    assert runs.untimed(run) == runs.untimed(ended.run)
    if lost == "the last evaluation":
        assert runs.rows(run / "metrics.jsonl") == runs.rows(ended.run / "metrics.jsonl")
    assert runs.read(run / "scores.json") == scores
    assert runs.read(run / "manifest.json")["stopped"] == manifest["stopped"]
