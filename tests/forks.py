"""Runs `rltk` in forked processes, which a signal can end at a chosen moment; torch is imported once for all of them.

with Forks() as forks:
    forks.run("train", "recipe.yaml", at="rltk.rewards.judge.grade", call=3, signals=("SIGKILL",))
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[1]
BALLAST = "ballast"
SOURCES = os.pathsep.join(str(ROOT / source) for source in (".", "eval", "reward_models"))


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
        assert self.server.stdin and self.server.stdout
        order = {"argv": argv, "at": at, "call": call, "signals": signals, "folder": self.folder.name}
        order |= {"fill": None if fill is None else str(fill), "largest_file": largest_file}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        code = json.loads(self.server.stdout.readline())
        return Done(code, *((Path(self.folder.name) / name).read_text(encoding="utf-8") for name in ("out", "err")))


def serve() -> None:
    importlib.import_module("rltk.run.session")
    importlib.import_module("rltk.onpolicy.session")
    importlib.import_module("rltk.offline.session")
    importlib.import_module("rltk.commands.evaluate")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run_here(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def run_here(
    argv: list[str],
    at: str,
    call: int,
    signals: list[str],
    folder: str,
    fill: str | None,
    largest_file: int | None,
) -> NoReturn:
    from rltk.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
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
