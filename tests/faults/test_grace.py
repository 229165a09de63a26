"""SIGTERM and Ctrl-C within a step that takes long: it is ended, and the steps before it are kept."""

from pathlib import Path
from typing import Any

import pytest

from tests import runs
from tests.forks import Forks
from tests.offline import made
from tests.test_resume import assert_same

AT_ONCE = {"grace": 1e-4, "checkpoint_every": 4}
"""Less than any step takes."""
STEPS: dict[str, Any] = {"optim": {"steps": 6}, "algo": {"updates": 2, "kl": 0.05}, "run": AT_ONCE}


@pytest.fixture(scope="module")
def grpo(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe beside its run, which nothing ended."""
    return whole(forks, runs.write_recipe(tmp_path_factory.mktemp("grpo"), guesser, **STEPS))


@pytest.fixture(scope="module")
def dpo(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dpo")
    return whole(forks, made.write_recipe(folder, guesser, "dpo", optim={"steps": 6}, run=AT_ONCE))


def whole(forks: Forks, recipe: Path) -> Path:
    assert forks.run("train", str(recipe), "--run", str(recipe.parent / "run")).code == 0
    return recipe


def interrupted(forks: Forks, recipe: Path, run: Path, at: str, call: int, signal: str) -> str:
    """The last line that was said."""
    done = forks.run("train", str(recipe), "--run", str(run), at=at, call=call, signals=(signal,))
    assert done.code == 130 and "Traceback" not in done.err, done.err
    assert runs.read(run / "manifest.json")["status"] == "interrupted"
    return done.err.splitlines()[-1]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_rollout_that_takes_too_long_is_ended_with_a_checkpoint_of_the_steps_before(
    signal: str, forks: Forks, grpo: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    said = interrupted(forks, grpo, run, "rltk.rewards.judge.grade", 3, signal)
    assert said == f"interrupted; go on after step 2 with: rltk train {run} --resume"
    assert runs.names(run / "checkpoints") == ["step-000002"], "not of the recipe's every fourth"
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, grpo.parent / "run")


def test_a_step_that_has_moved_weights_is_not_kept_in_half(forks: Forks, grpo: Path, tmp_path: Path) -> None:
    """The second update of step 6: what there is belongs to no step."""
    run = tmp_path / "run"
    said = interrupted(forks, grpo, run, "torch.optim.AdamW.step", 12, "SIGTERM")
    assert said == f"interrupted; go on after step 4 with: rltk train {run} --resume"
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, grpo.parent / "run")


@pytest.mark.slow
def test_a_checkpoint_under_way_is_finished(forks: Forks, grpo: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = interrupted(forks, grpo, run, "rltk.run.checkpoint.optimizer_tensors", 1, "SIGTERM")
    steps = (4, 5)  # the next may be over before the loop hears of it
    assert said in {f"interrupted; go on after step {step} with: rltk train {run} --resume" for step in steps}
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, grpo.parent / "run")


@pytest.mark.slow
def test_a_step_of_trls_is_ended_too(forks: Forks, dpo: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = interrupted(forks, dpo, run, "transformers.Trainer.training_step", 3, "SIGTERM")
    assert said == f"interrupted; go on after step 2 with: rltk train {run} --resume"
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, dpo.parent / "run")
