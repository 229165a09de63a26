"""A process that makes runs one after another, each in a process of its own.

It reads orders from stdin, a line of JSON each ({"argv": [...], "log": "path"}), answers each with the exit status, and
ends when stdin does. Without an accelerator it imports torch once and forks, which saves every run the seconds that
takes; CUDA does not survive a fork, so with one each run is a program of its own.

`python -m rltk.compare.worker tied PID ARGV...` is such a program for a worker of a cluster, which is process PID.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

FORK, SPAWN, TIED = "fork", "spawn", "tied"
DIES_WITH_ITS_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""
INTERRUPTED = 130


class Stop:
    """An interrupt reaches the whole process group: the run ends, and this process stays to say how it did."""

    def __init__(self) -> None:
        self.is_asked = False
        signal.signal(signal.SIGINT, self.ask)

    def ask(self, number: int, frame: FrameType | None) -> None:
        self.is_asked = True


def serve(way: str) -> None:
    stop = Stop()
    if way == FORK:
        import datasets  # noqa: F401  # what runs import, and what those do that read data from outside

        import rltk.onpolicy.session
        import rltk.run.session  # noqa: F401
    for line in sys.stdin:
        order = json.loads(line)
        argv, log = order["argv"], Path(order["log"])
        code = spawned(argv, log) if way == SPAWN else forked(argv, log, stop) if not stop.is_asked else INTERRUPTED
        answer(code)


def answer(code: int) -> None:
    try:
        print(code, flush=True)
    except BrokenPipeError:  # who asked was killed; the run is whole all the same, and the next process finds it
        os._exit(INTERRUPTED)


def spawned(argv: list[str], log: Path) -> int:
    """Exit status of `rltk` with these arguments; minus the signal's number where a signal ended it."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", "rltk", *argv]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode


def forked(argv: list[str], log: Path, stop: Stop) -> int:
    """The same, in a copy of this process."""
    pid = os.fork()
    if pid == 0:
        run_here(argv, log, stop)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_here(argv: list[str], log: Path, stop: Stop) -> NoReturn:
    from rltk.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    if stop.is_asked:  # between the fork and the line above
        sys.exit(INTERRUPTED)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for number, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, file), (2, file)):
        os.dup2(target, number)
    sys.exit(main(argv))


def run_tied(parent: int, argv: list[str]) -> NoReturn:
    """A worker that is lost must not leave a run behind that nobody knows of: it holds its folder's lock and a GPU."""
    from rltk.cli import main

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_ITS_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(INTERRUPTED)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray's processes do not hear it
    sys.exit(main(argv))


if __name__ == "__main__":
    if sys.argv[1] == TIED:
        run_tied(int(sys.argv[2]), sys.argv[3:])
    serve(sys.argv[1])
