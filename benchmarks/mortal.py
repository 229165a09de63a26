"""Runs `rltk` in forked processes and kills them from outside while they are at a chosen piece of their work.

    with Warm() as warm:
        warm.run(["train", "recipe.yaml"], log, Aim("rollout", occurrence=3, delay=0.002))

torch is imported once, so that a death costs little more than the work that it undoes. A process says in memory that it
shares with its parent what it is at, which is still there when it is gone.
"""

import importlib
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from tests.forks import ROOT, SOURCES, find

FUNCTIONS = {
    "rollout": ("rltk.rollout.native.NativeSampler.sample",),
    "step": ("rltk.onpolicy.learner.Learner.learn", "transformers.Trainer.training_step", "torch.optim.AdamW.step"),
    "checkpoint": ("rltk.onpolicy.learner.save_checkpoint", "rltk.offline.split.save_checkpoint"),
    "evaluation": ("rltk.run.session.Session.score", "rltk.rollout.evaluate.Evaluator.evaluate"),
    "saving": ("rltk.onpolicy.session.save_model", "rltk.offline.session.save_model"),
    "logging": ("rltk.run.folder.RunFolder.log",),
}
PHASES = ("elsewhere", *FUNCTIONS)
"""Elsewhere: imports, loading, judging, reports."""
MODULES = ("datasets", "rltk.run.session", "rltk.onpolicy.session", "rltk.offline.session", "rltk.report.page")
ENTRY = struct.Struct("qd")
"""How often a phase was begun, and the seconds it took in all."""
LOOK = 0.001


class Aim(NamedTuple):
    phase: str
    occurrence: int
    """Counted from 1."""
    delay: float
    """Seconds after it began."""


class Ended(NamedTuple):
    code: int
    """Exit status; minus the signal's number where a signal ended it."""
    phase: str
    """What it was at then."""
    phases: dict[str, tuple[int, float]]
    """How often it was at each, and for how many seconds."""


class Warm:
    def __enter__(self) -> "Warm":
        # One thread: a forked process cannot use the thread pools of its parent.
        environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "benchmarks.mortal"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=-1, stdout=-1, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.communicate()

    def run(self, argv: Sequence[str], log: Path, aim: Aim | None = None) -> Ended:
        """`rltk` with these arguments, killed where `aim` says unless it ends before."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"argv": argv, "log": str(log), "aim": aim}) + "\n")
        self.process.stdin.flush()
        return Ended(*json.loads(self.process.stdout.readline()))


class Board:
    """What a process is at, in memory that outlives it."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)

    def clear(self) -> None:
        self.memory[:] = bytes(len(self.memory))

    @property
    def now(self) -> str:
        return PHASES[self.memory[0]]

    def entry(self, phase: str) -> tuple[int, float]:
        return ENTRY.unpack_from(self.memory, self.place(phase))

    def begin(self, phase: str) -> None:
        count, seconds = self.entry(phase)
        ENTRY.pack_into(self.memory, self.place(phase), count + 1, seconds)
        self.memory[0] = PHASES.index(phase)

    def end(self, phase: str, took: float) -> None:
        count, seconds = self.entry(phase)
        ENTRY.pack_into(self.memory, self.place(phase), count, seconds + took)
        self.memory[0] = 0

    @staticmethod
    def place(phase: str) -> int:
        return ENTRY.size * (1 + PHASES.index(phase))


def serve() -> None:
    board = Board()
    for module in MODULES:
        importlib.import_module(module)
    for phase, functions in FUNCTIONS.items():
        for function in functions:
            announce(function, phase, board)
    for line in sys.stdin:
        order = json.loads(line)
        board.clear()
        pid = os.fork()
        if pid == 0:
            run_here(order["argv"], order["log"])
        code = watch(pid, board, None if order["aim"] is None else Aim(*order["aim"]))
        phases = {phase: board.entry(phase) for phase in FUNCTIONS}
        print(json.dumps([code, board.now, phases]), flush=True)


def watch(pid: int, board: Board, aim: Aim | None) -> int:
    """Exit status of the process, which is killed where the aim says."""
    due: float | None = None
    while aim is not None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if due is None and board.entry(aim.phase)[0] >= aim.occurrence:
            due = time.monotonic() + aim.delay
        if due is not None and time.monotonic() >= due:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(LOOK)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_here(argv: list[str], log: str) -> NoReturn:
    from rltk.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(file, number)
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def announce(dotted: str, phase: str, board: Board) -> None:
    """Has the function say when it begins and ends, unless it is called within another piece of work."""
    owner, name = find(dotted)
    function: Callable[..., Any] = getattr(owner, name)

    @wraps(function)
    def announced(*args: Any, **kwargs: Any) -> Any:
        if board.now != PHASES[0]:
            return function(*args, **kwargs)
        board.begin(phase)
        started = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            board.end(phase, time.monotonic() - started)

    setattr(owner, name, announced)


if __name__ == "__main__":
    serve()
