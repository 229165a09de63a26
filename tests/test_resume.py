"""A run that is killed or interrupted, wherever that happens, goes on to the very numbers of one that is not."""

import json
import shlex
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rltk_eval.metrics import wilson

from tests import runs
from tests.forks import Forks

LORA = {
    "tune": {"type": "lora", "rank": 4, "dropout": 0.2},
    "algo": {"updates": 2, "kl": 0.05},
    "eval": {"every": 3},
}
FULL = {"tune": {"type": "full"}, "algo": {"updates": 2, "kl": 0.05}, "optim": {"lr": 0.003}}
STEERED = {"type": "ppo", "updates": 2, "epochs": 2, "kl": 0.05, "kl_target": 2.0}
PPO_LORA = {"tune": {"type": "lora", "rank": 4}, "algo": STEERED}
PPO_FULL = {"tune": {"type": "full"}, "algo": STEERED, "optim": {"lr": 0.003}}
ARMS: dict[str, dict[str, Any]] = {"lora": LORA, "full": FULL, "ppo lora": PPO_LORA, "ppo full": PPO_FULL}
"""PPO's controller moves the weight of the KL divergence at every step, so that has to come back too."""
KILLED = -signal.SIGKILL


class Moment(NamedTuple):
    at: str
    call: int
    """The process is killed when `at` is called for this many times."""
    steps: int
    checkpoints: int
    """What the run folder has by then."""


MOMENTS = {
    "in the first evaluation": Moment("rltk.rollout.evaluate.grade_items", 1, 0, 0),
    "before the first checkpoint": Moment("rltk.onpolicy.loop.train_step", 2, 1, 0),
    "between the two updates of step 3": Moment("torch.optim.AdamW.step", 6, 2, 1),
    "between two of PPO's four updates of step 3": Moment("torch.optim.AdamW.step", 10, 2, 1),
    "while the checkpoint of step 4 is written": Moment("rltk.run.checkpoint.optimizer_tensors", 2, 4, 1),
    "before the checkpoint of step 4 takes its place": Moment("rltk.run.atomic.settle", 2, 4, 1),
    "right after the checkpoint of step 4": Moment("rltk.onpolicy.loop.train_step", 5, 4, 2),
    "while metrics are written": Moment("rltk.run.folder.append_jsonl", 6, 5, 2),
    "while the model is saved": Moment("transformers.PreTrainedTokenizerFast.save_pretrained", 1, 6, 2),
    "in the last evaluation": Moment("rltk.run.session.Session.score", 2, 6, 2),
}
CASES = [("lora", moment) for moment in MOMENTS if "PPO" not in moment] + [
    ("full", moment)
    for moment in (
        "between the two updates of step 3",
        "before the checkpoint of step 4 takes its place",
        "in the last evaluation",
    )
]
CASES += [(arm, "between two of PPO's four updates of step 3") for arm in ("ppo lora", "ppo full")]


@pytest.fixture(scope="module")
def whole(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each arm that nothing interrupts."""
    finished: dict[str, Path] = {}
    for arm in ARMS:
        recipe = write(tmp_path_factory.mktemp(arm), guesser, arm)
        finished[arm] = recipe.parent / "run"
        assert forks.run("train", str(recipe), "--run", str(finished[arm])).code == 0
        rewards = [row["reward"] for row in runs.untimed(finished[arm])]
        assert len(rewards) == 6 and 0 < sum(rewards) < 6, "a policy that does not learn would resume to anything"
    return finished


def write(folder: Path, model: Path, arm: str) -> Path:
    sections = {**ARMS[arm], "optim": {"steps": 6, **ARMS[arm].get("optim", {})}}
    return runs.write_recipe(folder, model, **sections)


def assert_same(run: Path, whole: Path) -> None:
    assert runs.untimed(run) == runs.untimed(whole)
    assert runs.read(run / "scores.json") == runs.read(whole / "scores.json")
    assert runs.read(run / "manifest.json")["status"] == "finished"
    for kept in ("model", "items", *(["critic"] if (whole / "critic").exists() else [])):
        files = sorted(path.relative_to(whole) for path in (whole / kept).iterdir())
        assert files == sorted(path.relative_to(run) for path in (run / kept).iterdir())
        assert [name for name in files if (run / name).read_bytes() != (whole / name).read_bytes()] == []
    assert not list(run.rglob("*.writing"))


def test_an_evaluation_while_training_has_its_interval(whole: dict[str, Path]) -> None:
    (look,) = [row for row in runs.rows(whole["lora"] / "metrics.jsonl") if "accuracy" in row]
    assert look["step"] == 3 and look["accuracy_ci95"] == [*wilson(round(look["accuracy"] * 12), 12)]


@pytest.mark.parametrize(("arm", "moment"), CASES)
def test_a_killed_run_resumes_to_the_same_bits(
    arm: str, moment: str, forks: Forks, whole: dict[str, Path], guesser: Path, tmp_path: Path
) -> None:
    recipe, run = write(tmp_path, guesser, arm), tmp_path / "run"
    at, call, steps, checkpoints = MOMENTS[moment]
    assert forks.run("train", str(recipe), "--run", str(run), at=at, call=call).code == KILLED
    assert runs.read(run / "manifest.json")["status"] == "running"
    assert len(runs.rows(run / "metrics.jsonl")) == steps
    assert len(list(run.glob("checkpoints/step-*"))) == checkpoints
    resumed = forks.run("train", str(run), "--resume")
    assert resumed.code == 0, resumed.err
    assert_same(run, whole[arm])


def resumed(command_line: str, forks: Forks) -> None:
    """Runs the command that an interrupted run has printed."""
    program, *argv = shlex.split(command_line)
    assert program == "rltk"
    assert forks.run(*argv).code == 0


@pytest.mark.parametrize("asked", ["SIGINT", "SIGTERM"])
def test_an_interrupt_ends_after_the_step_with_a_checkpoint_and_the_command_to_go_on(
    asked: str, forks: Forks, whole: dict[str, Path], guesser: Path, tmp_path: Path
) -> None:
    recipe, run = write(tmp_path, guesser, "lora"), tmp_path / "a run"
    argv = ("train", str(recipe), "--run", str(run))
    done = forks.run(*argv, at="rltk.rewards.judge.grade", call=5, signals=(asked,))
    assert (done.code, done.out) == (130, "")
    assert "\nstopping after this step; press Ctrl-C again to stop at once\nstep 5/6 " in done.err
    *_, last = done.err.splitlines()
    assert last == f"interrupted; go on after step 5 with: rltk train '{run}' --resume"
    assert runs.read(run / "manifest.json")["status"] == "interrupted"
    assert runs.names(run / "checkpoints") == ["step-000004", "step-000005"]
    resumed(last.partition(" with: ")[2], forks)
    assert_same(run, whole["lora"])


@pytest.mark.parametrize(
    ("at", "call", "signals", "kept"),
    [
        ("rltk.rewards.judge.grade", 3, ("SIGINT", "SIGINT"), "after step 2"),
        ("rltk.run.checkpoint.optimizer_tensors", 1, ("SIGINT", "SIGTERM"), "from the start"),
        ("rltk.rollout.evaluate.grade_items", 1, ("SIGTERM",), "from the start"),
        ("torch.optim.AdamW.step", 12, ("SIGINT",), "after step 6"),
        ("rltk.onpolicy.session.save_model", 1, ("SIGINT",), "after step 6"),
    ],
    ids=[
        "two in a step",
        "two in a checkpoint",
        "one in the first evaluation",
        "one in the last step",
        "one at the end",
    ],
)
def test_an_interrupt_at_once_keeps_what_there_is(
    at: str,
    call: int,
    signals: tuple[str, ...],
    kept: str,
    forks: Forks,
    whole: dict[str, Path],
    guesser: Path,
    tmp_path: Path,
) -> None:
    recipe, run = write(tmp_path, guesser, "lora"), tmp_path / "run"
    done = forks.run("train", str(recipe), "--run", str(run), "--quiet", "--json", at=at, call=call, signals=signals)
    command = f"rltk train {run} --resume"
    assert (done.code, done.err) == (130, f"interrupted; go on {kept} with: {command}\n")
    assert json.loads(done.out) == {"run": str(run), "status": "interrupted", "resume": command}
    resumed(command, forks)
    assert_same(run, whole["lora"])
