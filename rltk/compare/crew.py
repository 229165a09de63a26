"""The workers that make runs: one a job, and where there are GPUs one a GPU. Those of a cluster are in `cluster.py`."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from rltk.compare.plan import Planned
from rltk.compare.worker import FORK, SPAWN, held
from rltk.recipe.accelerator import DEVICES, is_accelerator_visible


class Hand(Protocol):
    """What makes one run at a time."""

    def start(self, run: Planned, argv: list[str], log: Path) -> None: ...


class Hands(Protocol):
    """What the runner needs of a crew, wherever its workers are."""

    def idle(self) -> Sequence[Hand]: ...

    def busy(self) -> list[Planned]: ...

    def finished(self, seconds: float) -> Iterator[tuple[Planned, int | None]]:
        """The runs that came to an end within so many seconds, with their exit status; None: their worker was lost."""
        ...

    def interrupt(self) -> None:
        """Runs end, and none begins after this: who gives orders may just be about to give one."""
        ...


def open_crew(on: str | None, jobs: int | None, most: int) -> AbstractContextManager[Hands]:
    """Workers here, or on the Ray cluster that `on` names: so many, or one a GPU, and never more than `most`."""
    if on is None:
        return Crew(min(jobs or default_jobs(), most))
    from rltk.compare.cluster import RayCrew

    return RayCrew(on, jobs, most)


class Worker:
    """One process that makes one run at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        way = SPAWN if is_accelerator_visible() else FORK
        with held():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rltk.compare.worker", way],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C is passed on once, when and as often as we say
            )
        self.run: Planned | None = None

    @property
    def answers(self) -> IO[str]:
        assert self.process.stdout
        return self.process.stdout

    def start(self, run: Planned, argv: list[str], log: Path) -> None:
        assert self.process.stdin
        self.run = run
        log.parent.mkdir(parents=True, exist_ok=True)
        self.process.stdin.write(json.dumps({"argv": argv, "log": str(log)}) + "\n")
        self.process.stdin.flush()

    def finish(self) -> tuple[Planned, int]:
        """The run it was making and its exit status; call when it has answered. A worker that died gives its own."""
        run, line = self.run, self.answers.readline()
        assert run is not None
        self.run = None
        return run, int(line) if line else -abs(self.process.wait() or 1)

    def interrupt(self) -> None:
        """Its run ends, and one that it is given after this does not begin."""
        self.process.send_signal(signal.SIGINT)


class Crew:
    """Use as a context manager: workers end with it."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __enter__(self) -> Crew:
        self.selector = selectors.DefaultSelector()
        self.workers = [Worker(environment(job, self.jobs)) for job in range(self.jobs)]
        for worker in self.workers:
            self.selector.register(worker.answers, selectors.EVENT_READ, worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interrupt()  # where something has gone wrong here, what still runs keeps a checkpoint
        for worker in self.workers:
            worker.process.communicate()
        self.selector.close()

    def idle(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.run is None and worker.process.poll() is None]

    def busy(self) -> list[Planned]:
        return [worker.run for worker in self.workers if worker.run is not None]

    def finished(self, seconds: float) -> Iterator[tuple[Planned, int]]:
        """The runs that came to an end within so many seconds, with their exit status."""
        for key, _ in self.selector.select(seconds):
            worker: Worker = key.data
            if worker.run is not None:
                yield worker.finish()
            if worker.process.poll() is not None:
                self.selector.unregister(worker.answers)

    def interrupt(self) -> None:
        for worker in self.workers:
            worker.interrupt()


def make_one(run: Planned, argv: list[str], log: Path) -> int:
    """Exit status of a single run, in a worker of its own."""
    with Crew(1) as crew:
        crew.workers[0].start(run, argv, log)
        while True:
            for _, code in crew.finished(0.5):
                return code


def ending(code: int, log: Path) -> str:
    """How a run ended, in the words of its log where it has any."""
    if code < 0:
        return f"was ended by signal {-code}; start again to go on with it."
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said = [line.removeprefix("rltk: ") for line in lines if line.startswith("rltk: ")]
    return f"failed: {said[-1]}" if said else f"failed ({lines[-1] if lines else f'status {code}'}); see {log}."


def environment(job: int, jobs: int) -> dict[str, str]:
    """Its own GPU for each job; on CPUs an equal share of the cores, unless the user has said how many threads."""
    gpus = visible_gpus()
    if gpus:
        return {"CUDA_VISIBLE_DEVICES": gpus[job % len(gpus)]}
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    return {}


def default_jobs() -> int:
    return max(1, len(visible_gpus()))


def visible_gpus() -> list[str]:
    """The CUDA devices that may be used, as CUDA_VISIBLE_DEVICES names them."""
    if not is_accelerator_visible():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",")]
    return [str(index) for index, _ in enumerate(Path("/dev").glob(DEVICES[0]))]
