"""Runs `rltk` in forked processes, which a signal can end at a chosen moment; torch is imported once for all of them.

with Forks() as forks:
    forks.run("train", "recipe.yaml", at="rltk.rewards.judge.grade", call=3, signals=("SIGKILL",))
"""

import gc
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[1]
BALLAST = "ballast"
SOURCES = os.pathsep.join(str(ROOT / source) for source in (".", "eval", "reward_models"))


GRACE = 20
"""Seconds after which a process whose companion has failed is ended."""


class Done(NamedTuple):
    code: int
    """Exit status; minus the signal's number where a signal ended it."""
    out: str
    err: str


class Forks:
    def __enter__(self) -> "Forks":
        self.folder = tempfile.TemporaryDirectory()
        # One thread: a forked process cannot use the thread pools of its parent.
        environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.communicate()
        self.folder.cleanup()

    def run(
        self,
        *argv: str,
        at: str = "",
        call: int = 1,
        signals: tuple[str, ...] = ("SIGKILL",),
        fill: Path | None = None,
        largest_file: int | None = None,
    ) -> Done:
        """`rltk` with these arguments; it sends itself `signals` when the function `at` is called for the nth time.

        Or else it fills the disk of the folder `fill`, or may from then on write no file of more than so many bytes.
        """
        order = {"argv": argv, "at": at, "call": call, "signals": signals}
        order |= {"fill": None if fill is None else str(fill), "largest_file": largest_file}
        (done,) = self.order(order, processes=0)
        return done

    def together(self, processes: int, *argv: str) -> list[Done]:
        """`rltk` with these arguments in as many processes, as torchrun would start them."""
        order = {"argv": argv, "at": "", "call": 1, "signals": (), "fill": None, "largest_file": None}
        return self.order(order, processes=processes)

    def order(self, what: dict[str, Any], processes: int) -> list[Done]:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps({**what, "folder": self.folder.name, "processes": processes}) + "\n")
        self.server.stdin.flush()
        codes = json.loads(self.server.stdout.readline())
        return [
            Done(code, *((Path(self.folder.name) / f"{name}{rank}").read_text("utf-8") for name in ("out", "err")))
            for rank, code in enumerate(codes)
        ]


def serve() -> None:
    gc.disable()  # what is imported stays, and there is no garbage to look for in it
    importlib.import_module("rltk.run.session")
    importlib.import_module("rltk.onpolicy.session")
    importlib.import_module("rltk.offline.session")
    importlib.import_module("rltk.commands.evaluate")
    from rltk.distributed.launch import free_port

    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        order = json.loads(line)
        processes, port, pids = order.pop("processes"), free_port(), list[int]()
        for rank in range(processes or 1):
            pids.append(os.fork())
            if pids[-1] == 0:
                if processes:
                    os.environ.update(place(rank, processes, port))
                run_here(**order, rank=rank)
        print(json.dumps(codes_of(pids)), flush=True)


def place(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun says to a process."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    return {key: str(number) for key, number in numbers.items()} | {"MASTER_ADDR": "127.0.0.1"}


def codes_of(pids: list[int]) -> list[int]:
    """Exit statuses; what waits for one that has failed is killed after a while."""
    codes: dict[int, int] = {}
    deadline = float("inf")
    while len(codes) < len(pids):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            codes[pid] = os.waitstatus_to_exitcode(status)
            deadline = time.monotonic() + GRACE if codes[pid] else deadline
            continue
        if time.monotonic() > deadline:
            for waiting in set(pids) - codes.keys():
                os.kill(waiting, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.02)
    return [codes[pid] for pid in pids]


def run_here(
    argv: list[str],
    at: str,
    call: int,
    signals: list[str],
    folder: str,
    fill: str | None,
    largest_file: int | None,
    rank: int,
) -> NoReturn:
    from rltk.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(os.path.join(folder, f"{name}{rank}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if at and fill is not None:
        do_at(at, call, lambda: fill_disk(Path(fill)))
    elif at and largest_file is not None:
        do_at(at, call, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file)))
    elif at:
        do_at(at, call, lambda: [os.kill(os.getpid(), signal.Signals[number]) for number in signals])
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def fill_disk(folder: Path) -> None:
    """Not a byte is left; removing the file `ballast` gives all back."""
    with (folder / BALLAST).open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def do_at(at: str, call: int, happen: Callable[[], object]) -> None:
    owner, name = find(at)
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            happen()
        return function(*args, **kwargs)

    setattr(owner, name, counted)


def find(dotted: str) -> tuple[Any, str]:
    """The module or class that holds it, and its name there."""
    *parts, name = dotted.split(".")
    try:
        return importlib.import_module(".".join(parts)), name
    except ModuleNotFoundError:
        return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1]), name


if __name__ == "__main__":
    serve()
