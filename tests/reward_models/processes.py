"""Servers in processes of their own, forked from one that has imported torch, so that each starts at once.

with Servers() as servers:  # of scores; Servers("rltk.cli") for what `rltk` serves
    server = servers.start(folder)
    server.kill()
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
LATER = {"rltk.cli": ("rltk.commands.serve", "rltk.serving.open", "rltk.serving.server")}
"""What a program imports when it knows what it is asked for."""
SOURCES = os.pathsep.join(str(ROOT / source) for source in (".", "eval", "reward_models"))


class Server(NamedTuple):
    pid: int
    url: str
    port: int

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Servers:
    def __init__(self, program: str = "rltk_reward_models.serve") -> None:
        """`program` is a module whose `main` takes arguments and serves."""
        self.program = program

    def __enter__(self) -> "Servers":
        self.folder, self.count = tempfile.TemporaryDirectory(), 0
        # One thread: a forked process cannot use the thread pools of its parent.
        environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self.nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.reward_models.processes", self.program],
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
        self.nursery.communicate()  # It ends the servers that are left.
        self.folder.cleanup()

    def start(self, folder: Path, *arguments: str, port: int = 0) -> Server:
        """A server that answers."""
        self.count += 1
        out = Path(self.folder.name) / f"out{self.count}"
        command = ["serve"] if self.program == "rltk.cli" else []
        pid = self._order({"argv": [*command, str(folder), "--port", str(port), *arguments], "out": str(out)})
        for _ in range(600):
            if out.is_file() and (said := out.read_text(encoding="utf-8")).endswith("\n"):
                assert said.startswith("serving"), said
                url = said.split()[-1]
                return Server(pid, url, urlsplit(url).port or 0)
            time.sleep(0.05)
        raise TimeoutError("the server did not start")

    def exit_code(self, server: Server) -> int:
        """Of a server that ends by itself; minus the signal's number where one ended it."""
        return self._order({"wait": server.pid})

    def _order(self, order: dict[str, Any]) -> int:
        assert self.nursery.stdin and self.nursery.stdout
        self.nursery.stdin.write(json.dumps(order) + "\n")
        self.nursery.stdin.flush()
        return int(self.nursery.stdout.readline())


def tend(program: str) -> None:
    gc.disable()  # what is imported stays, and there is no garbage to look for in it
    for module in (program, *LATER.get(program, ())):
        importlib.import_module(module)  # for the forks
    gc.freeze()
    gc.enable()
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            running.discard(order["wait"])
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        elif pid := os.fork():
            running.add(pid)
            print(pid, flush=True)
        else:
            run_here(program, **order)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def run_here(program: str, argv: list[str], out: str) -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(os.open(f"{out}.err", os.O_WRONLY | os.O_CREAT), 2)
    code = importlib.import_module(program).main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    tend(sys.argv[1])
