"""Workers on a Ray cluster: each takes one GPU, or one CPU where the cluster has no GPUs, wherever Ray finds it.

A run is a program of its own there as here, with the same arguments, folder and log; every node needs rltk and sees the
current folder under the same path. A run is tied to its worker and ends with it, so one whose worker Ray has lost can
go on elsewhere at once.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rltk.compare.plan import Planned
from rltk.compare.worker import TIED
from rltk.errors import INTERRUPTED, UserError, tell

try:
    import ray
    from ray.exceptions import RayActorError
except ImportError as error:
    raise UserError(
        "--on needs Ray, which is not installed; get it with: pip install 'rltk[ray]', or leave --on out."
    ) from error

LOCAL = "ray"
CALLS = 2
"""At once in a worker: the one that makes a run, and the one that interrupts it."""
SLOW = "timed out during startup"
"""What Ray says of a cluster of its own that is not there in time."""
OBJECTS = 2**27
"""Bytes of a local cluster's object store, which here carries exit statuses."""


class Maker:
    """Lives in a process of the cluster."""

    process: subprocess.Popen[bytes] | None = None
    is_stopped = False

    def __init__(self) -> None:
        self.beginning = threading.Lock()

    def make(self, argv: list[str], log: str, folder: str) -> int | str:
        """The exit status of `rltk` with these arguments; or a sentence, where it cannot even start."""
        if not Path(folder).is_dir():
            return f"the node {ray.util.get_node_ip_address()} of the cluster has no folder {folder}"
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "rltk.compare.worker", TIED, str(os.getpid()), *argv]
        with self.beginning:
            if self.is_stopped:
                return INTERRUPTED
            with open(log, "wb") as file:
                # A session of its own: only we say when it is interrupted. Ray's processes hold SIGINT.
                self.process = subprocess.Popen(
                    command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
                )
        return self.process.wait()

    def interrupt(self) -> None:
        with self.beginning:
            self.is_stopped = True
            if self.process is not None:
                self.process.send_signal(signal.SIGINT)


class RayWorker:
    def __init__(self, need: str) -> None:
        needs = {"num_gpus": 1} if need == "GPU" else {}
        self.kind: Any = ray.remote(Maker).options(num_cpus=1, max_concurrency=CALLS, **needs)
        self.actor, self.run = self.kind.remote(), None
        self.answer: Any = None
        """Ray's reference to the exit status that will be."""

    run: Planned | None
    is_interrupted = False

    def start(self, run: Planned, argv: list[str], log: Path) -> None:
        self.run = run
        self.answer = self.actor.make.remote(argv, str(log.absolute()), os.getcwd())

    def finish(self) -> tuple[Planned, int | None]:
        """The run it was making and its exit status; call when it has answered. A lost worker is replaced."""
        run, answer = self.run, self.answer
        assert run is not None
        self.run = self.answer = None
        try:
            code: Any = ray.get(answer)
        except RayActorError:
            self.actor = self.kind.remote()
            return run, None
        if isinstance(code, str):
            raise UserError(f"{code}; all nodes have to share the disk that it is on.")
        return run, code

    def interrupt(self) -> None:
        """The run keeps a checkpoint; asked again it ends at once, and so does a wait for room in the cluster."""
        if self.is_interrupted and self.run is not None:
            ray.kill(self.actor)
        self.is_interrupted = True
        self.actor.interrupt.remote()


class RayCrew:
    """Use as a context manager: workers end with it, and a local cluster does too."""

    def __init__(self, on: str, jobs: int | None, most: int) -> None:
        self.on, self.jobs, self.most = on, jobs, most

    def __enter__(self) -> RayCrew:
        connect(self.on)
        need, room = slots()
        if self.jobs is not None and self.jobs > room:
            tell(f"--jobs {self.jobs} is more than the {room} {need}s of the cluster, which are taken")
        self.workers = [RayWorker(need) for _ in range(min(self.jobs or room, room, self.most))]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interrupt()  # where something has gone wrong here, what still runs keeps a checkpoint
        left = [worker.answer for worker in self.workers if worker.run is not None]
        if left:
            ray.wait(left, num_returns=len(left))
        ray.shutdown()

    def idle(self) -> Sequence[RayWorker]:
        return [worker for worker in self.workers if worker.run is None]

    def busy(self) -> list[Planned]:
        return [worker.run for worker in self.workers if worker.run is not None]

    def finished(self, seconds: float) -> Iterator[tuple[Planned, int | None]]:
        asked = {worker.answer: worker for worker in self.workers if worker.run is not None}
        if not asked:  # all that is left is made by other processes
            time.sleep(seconds)
            return
        for answer in ray.wait(list(asked), timeout=seconds)[0]:
            yield asked[answer].finish()

    def interrupt(self) -> None:
        for worker in self.workers:
            worker.interrupt()


def connect(on: str) -> None:
    """`ray` is the cluster that RAY_ADDRESS names, or one on this machine that is gone afterwards."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours tells nobody outside
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    with Reaching(on):
        if on != LOCAL:
            ray.init(on, **quiet)
        elif "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            ray.init(include_dashboard=False, object_store_memory=OBJECTS, **quiet)


class Reaching:
    """Within it Ray's failures to start a cluster or to reach one are sentences."""

    def __init__(self, on: str) -> None:
        self.on = on

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ray gives its processes 30 seconds, which nothing can change, and then raises an `Exception` of no kind.
        if kind is Exception and SLOW in str(error):
            raise UserError(
                f"--on {self.on}: the cluster has not started within the 30 seconds that Ray gives it; try again when "
                "the machine is less busy, or start one with `ray start --head` and name its address."
            ) from error
        if isinstance(error, ConnectionError | RuntimeError | ValueError):
            first_line = str(error).strip().split("\n")[0]
            raise UserError(f"--on {self.on}: the cluster cannot be reached ({first_line}).") from error


def slots() -> tuple[str, int]:
    """What a worker takes one of, and how many there are."""
    found = ray.cluster_resources()
    need = "GPU" if found.get("GPU", 0) >= 1 else "CPU"
    return need, max(1, int(found.get(need, 1)))
