"""What the benchmark of kills would notice, and that what it kills comes back."""

import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.kills import ARMS, Arena, differences, half_written, random_aim, summary
from benchmarks.mortal import Aim, Ended, Warm
from rltk.run.atomic import write_json, write_jsonl
from rltk.run.whole import seal


def run(path: Path, *, loss: float = 0.5, status: str = "finished") -> Path:
    """The files of a run, as they are written."""
    write_json(path / "manifest.json", {"status": status})
    write_json(path / "scores.json", {"after": {"t": {"accuracy": 0.25}}})
    write_jsonl(path / "metrics.jsonl", [{"step": 1, "loss": loss, "seconds": id(path)}])
    write_jsonl(path / "items" / "after-t.jsonl", [{"id": "a"}])
    for folder in (path / "model", path / "checkpoints" / "step-000001"):
        folder.mkdir(parents=True)
        save_file({"a": torch.tensor([loss])}, folder / "weights.safetensors")
    seal(path / "checkpoints" / "step-000001")
    return path


def test_a_run_that_came_to_the_same_differs_in_nothing(tmp_path: Path) -> None:
    assert differences(run(tmp_path / "a"), run(tmp_path / "b")) == []


def test_each_difference_is_named(tmp_path: Path) -> None:
    whole, other = run(tmp_path / "whole"), run(tmp_path / "other", loss=0.25, status="running")
    write_jsonl(other / "items" / "after-t.jsonl", [{"id": "b"}])
    (other / ".scores.json.writing").write_text("")
    expected = ["metrics.jsonl", "manifest.json", "items/after-t.jsonl", "model/weights.safetensors"]
    assert differences(other, whole) == [*expected, ".scores.json.writing"]
    shutil.rmtree(other / "model")
    assert "model/weights.safetensors" in differences(other, whole)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("manifest.json", ["manifest.json"]),
        ("items/after-t.jsonl", ["items/after-t.jsonl"]),
        ("model/weights.safetensors", ["model/weights.safetensors"]),
        ("metrics.jsonl", []),  # a torn last line is what an append may leave
    ],
)
def test_half_a_file_is_noticed(file: str, found: list[str], tmp_path: Path) -> None:
    path = run(tmp_path / "run")
    assert half_written(path) == []
    (path / file).write_bytes((path / file).read_bytes()[:-3])
    assert half_written(path) == found


def test_half_a_checkpoint_is_noticed_and_what_has_no_name_yet_is_not_one(tmp_path: Path) -> None:
    path = run(tmp_path / "run")
    (path / "checkpoints" / ".step-000002.writing").mkdir()
    (path / "checkpoints" / ".step-000002.writing" / "progress.json").write_text("{")
    assert half_written(path) == []
    (path / "checkpoints" / "step-000001" / "weights.safetensors").unlink()
    assert half_written(path) == ["step-000001: weights.safetensors is missing"]


def test_a_kill_is_aimed_at_what_a_run_does() -> None:
    never = dict.fromkeys(("evaluation", "saving", "logging"), (0, 0.0))
    usual = Ended(0, "elsewhere", {"rollout": (6, 0.6), "step": (4, 0.2), "checkpoint": (2, 0.02), **never})
    aims = [random_aim(random.Random(seed), usual) for seed in range(200)]
    assert {aim.phase for aim in aims} == {"rollout", "step", "checkpoint"}
    rollouts = [aim for aim in aims if aim.phase == "rollout"]
    assert {aim.occurrence for aim in rollouts} == set(range(1, 7))
    assert max(aim.delay for aim in rollouts) <= 1.2 * 0.1, "by the mean of a tenth of a second"


def test_kills_and_runs_are_counted() -> None:
    def record(arm: str, *landed: str, **more: Any) -> dict[str, Any]:
        kills = [{"landed_in": phase} for phase in landed]
        return {"arm": arm, "kills": kills, "half_written": [], "differs": [], **more}

    found = [record("a", "step", "step"), record("b", "rollout", differs=["x"]), record("b", half_written=["y", "z"])]
    assert summary(found) == {
        "kills": 3,
        "by_phase": {"step": 2, "rollout": 1},
        "by_arm": {"a": 2, "b": 1},
        "runs_killed": 2,
        "same_bits": 1,
        "half_written": 2,
        "failed": 2,
    }


@pytest.mark.slow
def test_one_killed_run_of_each_arm_comes_back(tmp_path: Path) -> None:
    with Warm() as warm:
        arena = Arena(tmp_path, warm, seed=0)
        found = [arena.run(arm, 0) for arm in ARMS]
        assert len(found) == 4 and sum(len(one["kills"]) for one in found) >= 4
        assert [one for one in found if one["differs"] or one["half_written"]] == []
        killed = warm.run(arena.argv("full dpo", tmp_path / "once"), tmp_path / "log", Aim("step", 3, 0.0))
        assert (killed.code, killed.phases["step"][0]) == (-signal.SIGKILL, 3)
