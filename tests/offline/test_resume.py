"""A run of SFT or DPO that is killed or interrupted goes on to the very numbers of one that is not."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests import runs
from tests.forks import Forks
from tests.offline.made import FULL, LORA, write_recipe

ARMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "sft": ("sft", "problems", LORA | {"dropout": 0.2}),
    "sft, full": ("sft", "problems", FULL),
    "dpo": ("dpo", "preferences", LORA | {"dropout": 0.2}),
    "dpo, full": ("dpo", "preferences", FULL),
    "dpo, own pairs": ("dpo", "problems", FULL),
}
MOMENTS = {
    "in step 3": ("torch.optim.AdamW.step", 3),
    "while the checkpoint of step 4 is written": ("rltk.run.checkpoint.optimizer_tensors", 2),
    "while the last scores are made": ("rltk.run.session.Session.score", 2),
}
CASES = [(arm, "in step 3") for arm in ("sft", "sft, full", "dpo, own pairs")]
CASES += [("dpo", "while the checkpoint of step 4 is written"), ("dpo", "while the last scores are made")]
CASES += [("dpo, full", moment) for moment in MOMENTS]


@pytest.fixture(scope="module")
def whole(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each arm that nothing interrupts."""
    finished: dict[str, Path] = {}
    for arm in ARMS:
        recipe = write(tmp_path_factory.mktemp("whole"), guesser, arm)
        finished[arm] = recipe.parent / "run"
        done = forks.run("train", str(recipe), "--run", str(finished[arm]))
        assert done.code == 0, done.err
    return finished


def write(folder: Path, model: Path, arm: str) -> Path:
    algo, data, tune = ARMS[arm]
    own = {"algo": {"samples": 4}} if "own" in arm else {}
    return write_recipe(folder, model, algo, data, tune=tune, optim={"steps": 5}, eval={"every": 2}, **own)


def assert_same(run: Path, whole: Path) -> None:
    assert runs.untimed(run) == runs.untimed(whole)
    assert len({row["loss"] for row in runs.untimed(whole)}) > 1, "what does not learn would resume to anything"
    assert runs.read(run / "scores.json") == runs.read(whole / "scores.json")
    for kept in ("model", "items"):
        files = sorted(path.relative_to(whole) for path in (whole / kept).iterdir())
        assert [name for name in files if (run / name).read_bytes() != (whole / name).read_bytes()] == []
    assert {path.suffix for path in run.rglob("*.*")} <= {
        ".json",
        ".jsonl",
        ".safetensors",
        ".jinja",
        ".md",
        ".html",
        "",
    }
    assert not list(run.rglob("*.writing"))


@pytest.mark.parametrize(("arm", "moment"), CASES)
def test_a_killed_run_resumes_to_the_same_bits(
    arm: str, moment: str, forks: Forks, whole: dict[str, Path], guesser: Path, tmp_path: Path
) -> None:
    recipe, run = write(tmp_path, guesser, arm), tmp_path / "run"
    at, call = MOMENTS[moment]
    assert forks.run("train", str(recipe), "--run", str(run), at=at, call=call).code == -signal.SIGKILL
    resumed = forks.run("train", str(run), "--resume")
    assert resumed.code == 0, resumed.err
    assert "pairs from" not in resumed.err, "the policy's own pairs are not sampled again"
    assert_same(run, whole[arm])


def test_an_interrupt_ends_after_the_step_with_a_checkpoint(
    forks: Forks, whole: dict[str, Path], guesser: Path, tmp_path: Path
) -> None:
    recipe, run = write(tmp_path, guesser, "dpo, full"), tmp_path / "run"
    done = forks.run("train", str(recipe), "--run", str(run), at="torch.optim.AdamW.step", call=3, signals=("SIGINT",))
    assert done.code == 130
    assert done.err.splitlines()[-1] == f"interrupted; go on after step 3 with: rltk train {run} --resume"
    assert runs.read(run / "manifest.json")["status"] == "interrupted"
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, whole["dpo, full"])
