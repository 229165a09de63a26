"""A real Ray cluster on this machine: the same runs in the same folders; one goes on if its worker is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.errors import UserError
from rltk.scaling.grid import read_grid, survey
from tests import runs
from tests.forks import ROOT, SOURCES

STARTS = 5
PATIENCE = 600
"""Seconds after which a test gives up; nothing is said about how fast a machine is."""


@pytest.fixture
def recipe(guesser: Path, tmp_path: Path) -> Path:
    pytest.importorskip("ray", reason="RAY NOT FOUND: pip install 'rltk[ray]'")
    compare: dict[str, Any] = {
        "arms": ["lora-2", "full"],
        "rates": {"centre": 0.003},
        "scaling": {"data": [16, 48]},
    }
    return runs.write_recipe(tmp_path, guesser, run={"checkpoint_every": 1}, compare=compare)


def start(*argv: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "rltk", "scaling", "run", *argv]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=-1, stderr=-1, text=True)


def made(folder: Path) -> dict[str, dict[str, Any]]:
    """Rows of the results by the names of their runs, without where these are."""
    found = runs.rows(folder / "results.jsonl")
    return {Path(row["run"]).name: {key: value for key, value in row.items() if key != "run"} for row in found}


def begun(folder: Path, *argv: str) -> "tuple[subprocess.Popen[str], int]":
    """A command on a cluster of its own, and the process of a run that it has begun.

    Ray gives a cluster 30 seconds to start, whatever the machine is busy with; then it is started again.
    """
    for _ in range(STARTS):
        maker = start(*argv, "--on", "ray", "--jobs", "2")
        run = working(folder, maker)
        if run is not None:
            return maker, run
        err = maker.communicate()[1]
        assert "has not started within the 30 seconds" in err and "Traceback" not in err, err
    raise AssertionError("Ray does not start")


def working(folder: Path, maker: "subprocess.Popen[str]") -> int | None:
    """The process of a run that is at work; None if there is none when the command ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and maker.poll() is None:
        for manifest in folder.glob("grid/*/manifest.json"):
            lock = manifest.parent / ".lock"
            text = lock.read_text() if lock.exists() else ""
            if text.isdecimal() and is_alive(int(text)) and json.loads(manifest.read_text())["status"] == "running":
                return int(text)
        time.sleep(0.02)
    assert maker.poll() is not None, "no run began"
    return None


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_cluster_that_is_too_slow_or_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself raises what it raises after 30 seconds; an error that is neither stays one."""
    ray = pytest.importorskip("ray", reason="RAY NOT FOUND: pip install 'rltk[ray]'")
    from rltk.compare.cluster import connect

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    slow = Exception("The current node timed out during startup. This could happen because some of the raylet failed.")
    for error, kind, said in [
        (slow, UserError, r"^--on ray: the cluster has not started within the 30 seconds that Ray gives it; try again"),
        (ConnectionError("nobody\nhere"), UserError, r"^--on ray: the cluster cannot be reached \(nobody\)\.$"),
        (Exception("of another kind"), Exception, "^of another kind$"),
    ]:
        monkeypatch.setattr(ray, "init", raising(error))
        with pytest.raises(kind, match=said) as raised:
            connect("ray")
        assert type(raised.value) is kind


def raising(error: Exception) -> Callable[..., None]:
    def init(*_: Any, **__: Any) -> None:
        raise error

    return init


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_cluster_makes_the_same_runs_and_loses_none(recipe: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    plain = start(str(recipe), "--out", str(here))
    assert plain.wait() == 0, plain.communicate()[1]

    stopped, run = begun(there, str(recipe), "--out", str(there))
    stopped.send_signal(signal.SIGINT)
    err = stopped.communicate()[1]
    assert stopped.returncode == 130, err
    assert f"go on with: rltk scaling run {there}" in err and not is_alive(run)
    assert survey(read_grid(there)).pending

    going_on, run = begun(there, str(there))
    os.kill(parent(run), signal.SIGKILL)
    err = going_on.communicate()[1]
    assert going_on.returncode == 0, err
    assert "was lost; the run goes on elsewhere" in err
    assert made(there) == made(here) and len(made(there)) == 4
    resumed = [runs.read(path) for path in there.glob("grid/*/manifest.json") if runs.read(path).get("resumed")]
    assert resumed
