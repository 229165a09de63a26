"""Two processes on one run folder: the second is refused, whether the first moves or not, until the first is gone."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from rltk.cli import main
from tests import runs
from tests.forks import Done, Forks

PATIENCE = 600
"""Seconds after which a test gives up; nothing is said about how fast a machine is."""


def test_a_stopped_process_keeps_its_run_and_a_killed_one_gives_it_back(
    forks: Forks, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe, run = runs.write_recipe(tmp_path, guesser, optim={"steps": 3}), tmp_path / "run"
    ended: list[Done] = []

    def first() -> None:
        at = "torch.optim.AdamW.step"
        ended.append(forks.run("train", str(recipe), "--run", str(run), at=at, call=2, signals=("SIGSTOP",)))

    thread = threading.Thread(target=first)
    thread.start()
    pid = stopped(run)
    before = (run / "metrics.jsonl").read_bytes()
    assert main(["train", str(run), "--resume"]) == 2
    assert main(["train", str(recipe), "--run", str(run)]) == 2
    refused, taken = capfd.readouterr().err.splitlines()
    assert refused == f"rltk: another process is working in {run}; wait for it, or stop it first."
    assert taken == f"rltk: --run {run}: there is a run in it; add --resume to go on with it, or name another."
    assert (run / "metrics.jsonl").read_bytes() == before
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert ended[0].code == -signal.SIGKILL
    assert main(["train", str(run), "--resume", "--quiet"]) == 0
    assert [row["step"] for row in runs.rows(run / "metrics.jsonl")] == [1, 2, 3]


def stopped(run: Path) -> int:
    """The process that works on the run, once it is stopped."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = (run / ".lock").read_text() if (run / ".lock").exists() else ""
        if text and " T " in Path(f"/proc/{text}/stat").read_text():
            return int(text)
        time.sleep(0.02)
    raise AssertionError("no process was stopped")
