"""Ctrl-C at moments at which nobody may be there to hear it: before a run is started, as it comes to be, as it boots.

Workers are those of a machine with a GPU, which import no torch themselves.
"""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.compare import crew, runner
from rltk.compare.crew import Crew, Worker
from rltk.compare.plan import folder_of
from rltk.compare.runner import Runner
from rltk.compare.survey import survey
from rltk.compare.watch import Board
from tests.compare import made
from tests.forks import SOURCES

MAKE = """
import os, signal, sys
from pathlib import Path
from rltk.compare.worker import Stop, made

fork, (way, hint, log, is_early) = os.fork, sys.argv[1:]

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    return fork()

if is_early == "early":
    os.fork = interrupted
stop = Stop()
print("ready", flush=True)
print(made(way, ["serve", "embedded/policy", "--token-file", hint], Path(log), stop), stop.asked)
"""


@pytest.fixture(autouse=True)
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "is_accelerator_visible", lambda: True)


@pytest.mark.parametrize("moment", ["read_outcome", "write_recipe"])
def test_a_run_that_is_about_to_start_when_ctrl_c_comes_does_not(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = made.begun(tmp_path)
    function: Callable[..., Any] = getattr(runner, moment)

    def interrupted(*args: Any) -> Any:
        if not maker.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*args)

    monkeypatch.setattr(runner, moment, interrupted)
    runs = survey(comparison).pending[:2]
    with Board(comparison, is_quiet=True) as board, Crew(1) as workers:
        maker = Runner(comparison, workers, board, math.inf)
        maker.make(runs)
    assert maker.interrupts == 1
    assert not [run for run in runs if folder_of(comparison, run).exists()]


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.4])
def test_a_worker_that_is_interrupted_as_it_boots_says_so_and_nothing_else(
    seconds: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = survey(made.begun(tmp_path)).pending[0]
    worker = Worker({})
    time.sleep(seconds)
    worker.interrupt()
    worker.start(run, ["check", "gsm8k_grpo"], tmp_path / "log")
    assert worker.finish() == (run, 130)
    worker.process.communicate()
    assert (worker.process.returncode, capfd.readouterr()) == (0, ("", ""))
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("way", ["fork", "spawn"])
@pytest.mark.parametrize("is_early", ["early", "late"])
def test_an_interrupt_reaches_the_run_as_it_comes_to_be_and_later(way: str, is_early: str, tmp_path: Path) -> None:
    """`rltk serve` waits here for the end of a file that has none, for as long as nobody interrupts it."""
    pipe, log = tmp_path / "pipe", tmp_path / "log"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, way, str(pipe), str(log), is_early],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    writer = opened(pipe) if is_early == "late" else None
    if writer is not None:
        process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120)[0] == "130 1\n"
    assert log.read_text() == ""
    if writer is not None:
        os.close(writer)


def opened(pipe: Path) -> int:
    """The pipe's other end, as soon as somebody reads from it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody has opened it yet
            time.sleep(0.02)
    raise AssertionError("the run did not begin")
