"""A process that makes runs one after another, each in a process of its own.

It reads orders from stdin, a line of JSON each ({"argv": [...], "log": "path"}), answers each with the exit status, and
ends when stdin does. Without an accelerator it imports torch once and forks, which saves every run the seconds that
takes; CUDA does not survive a fork, so with one each run is a program of its own.

`python -m rltk.compare.worker alone ARGV...` is such a program, and `... tied PID ARGV...` one for a worker of a
cluster, which is process PID. All begin with SIGINT held, so that none is lost or finds nobody to hear it.
"""

import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rltk.errors import INTERRUPTED

FORK, SPAWN, ALONE, TIED = "fork", "spawn", "alone", "tied"
DIES_WITH_ITS_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""


class Stop:
    """What interrupts this process goes on to the run that it makes, and this process stays to say how that ended."""

    def __init__(self) -> None:
        self.asked = self.passed_on = 0
        self.run: int | None = None
        signal.signal(signal.SIGINT, self.ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def ask(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        self.pass_on()

    def follow(self, run: int | None) -> None:
        """The run that is made from now on; what was asked while it came to be reaches it too."""
        self.run = run
        self.pass_on()

    def pass_on(self) -> None:
        while self.run is not None and self.passed_on < self.asked:
            self.passed_on += 1
            with suppress(ProcessLookupError):
                os.kill(self.run, signal.SIGINT)


def serve(way: str) -> None:
    stop = Stop()
    if way == FORK:
        gc.disable()  # what is imported stays: to look for garbage among it takes a second, and again in every run
        import datasets  # noqa: F401  # what runs import, and what those do that read data from outside

        import rltk.onpolicy.session
        import rltk.run.session  # noqa: F401

        gc.freeze()
        gc.enable()
    for line in sys.stdin:
        order = json.loads(line)
        answer(INTERRUPTED if stop.asked else made(way, order["argv"], Path(order["log"]), stop))


def answer(code: int) -> None:
    try:
        print(code, flush=True)
    except BrokenPipeError:  # who asked was killed; the run is whole all the same, and the next process finds it
        os._exit(INTERRUPTED)


def made(way: str, argv: list[str], log: Path, stop: Stop) -> int:
    """Exit status of `rltk` with these arguments; minus the signal's number where a signal ended it."""
    run = begun(way, argv, log)
    stop.follow(run)
    status = os.waitpid(run, 0)[1]
    stop.follow(None)
    return os.waitstatus_to_exitcode(status)


def begun(way: str, argv: list[str], log: Path) -> int:
    """The process that makes the run: a copy of this one, or a program of its own that knows nothing of CUDA yet."""
    with held():
        pid = os.fork()
        if pid:
            return pid
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for number, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, file), (2, file)):
            os.dup2(target, number)
        if way == SPAWN:
            os.execv(sys.executable, [sys.executable, "-m", "rltk.compare.worker", ALONE, *argv])
        run_here(argv)


@contextmanager
def held() -> Iterator[None]:
    """An interrupt waits for the end of the block; in a process that begins within, until that says it can take it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_here(argv: list[str]) -> NoReturn:
    """`rltk` in this process, in which interrupts have waited so far."""
    from rltk.cli import main

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        sys.exit(main(argv))
    except KeyboardInterrupt:  # one that waited, before there was anything to end
        sys.exit(INTERRUPTED)


def run_tied(parent: int, argv: list[str]) -> NoReturn:
    """A worker that is lost must not leave a run behind that nobody knows of: it holds its folder's lock and a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_ITS_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(INTERRUPTED)
    run_here(argv)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [way, parent, *argv] if way == TIED:
            run_tied(int(parent), argv)
        case [way, *argv] if way == ALONE:
            run_here(argv)
        case [way]:
            serve(way)
