"""What is started when, and what stops it: no runs left, the budget, Ctrl-C, or a run that cannot be made."""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from rltk.compare.crew import Hands, ending
from rltk.compare.outcomes import read_outcome
from rltk.compare.plan import Planned, Project, folder_of, write_recipe
from rltk.compare.watch import Board
from rltk.errors import UserError
from rltk.run.lock import is_locked

LOGS = "logs"
MOST_LOSSES = 3
"""Workers that one run may lose before it is taken to be what ends them."""
POLL = 0.5
"""Seconds between looks at the clock."""


class Share(NamedTuple):
    """The runs of one machine among several; parts count from 1."""

    part: int
    of: int

    def of_all(self, runs: list[Planned]) -> list[Planned]:
        """By the hash of a run, so that all machines agree whatever each of them has already."""
        return [run for run in runs if int(run.hash, 16) % self.of == self.part - 1]


class Runner:
    """Makes runs until nothing is left to start."""

    def __init__(self, project: Project, crew: Hands, board: Board, deadline: float) -> None:
        self.project, self.crew, self.board, self.deadline = project, crew, board, deadline
        self.interrupts = 0
        self.refusals: list[str] = []
        self.losses: Counter[str] = Counter()

    @property
    def is_stopping(self) -> bool:
        return bool(self.interrupts or self.refusals) or self.is_out_of_time

    @property
    def is_out_of_time(self) -> bool:
        return time.monotonic() > self.deadline

    def make(self, runs: list[Planned]) -> int:
        """How many of the runs were started here; those that another process is at are waited for."""
        waiting, started = list(runs), 0
        with self.passing_on_interrupts():
            while self.crew.busy() or (waiting and not self.is_stopping):
                for worker in self.crew.idle() if not self.is_stopping else []:
                    run = self.next_run(waiting)
                    if run is not None:
                        worker.start(run, self.command(run), self.log(run))
                        started += 1
                self.board.show(self.crew.busy())
                for run, code in self.crew.finished(POLL):
                    if code is None:
                        waiting += self.lost(run)
                    else:
                        self.settle(run, code)
                if waiting and not self.crew.idle() and not self.crew.busy():
                    self.refusals.append("no worker is left; start again to go on")
        if self.refusals:
            raise UserError(self.refusals[0])
        return started

    def next_run(self, waiting: list[Planned]) -> Planned | None:
        """Takes the first run that is nobody's from the list, and all that another process has made meanwhile."""
        for run in list(waiting):
            if is_locked(folder_of(self.project, run)):
                continue
            waiting.remove(run)
            if not read_outcome(self.project, run).is_over:
                return run
            self.board.finished(run)
        return None

    def command(self, run: Planned) -> list[str]:
        """The arguments of `rltk` that make the run or go on with it."""
        return train_command(self.project, run)

    def log(self, run: Planned) -> Path:
        return self.project.path / LOGS / f"{run.id}.log"

    def lost(self, run: Planned) -> list[Planned]:
        """The run again, for whoever is free: it goes on from its last checkpoint."""
        self.losses[run.id] += 1
        if self.losses[run.id] == MOST_LOSSES:
            self.refusals.append(
                f"the {run} lost its worker {MOST_LOSSES} times; see {self.log(run)} and the cluster's."
            )
            return []
        self.board.say(f"the worker of the {run} was lost; the run goes on elsewhere")
        return [run]

    def settle(self, run: Planned, code: int) -> None:
        """Notes how a run ended; one that would end so again in another comparison too stops this one."""
        outcome = read_outcome(self.project, run)
        path = folder_of(self.project, run)
        if outcome.status == "finished":
            tidy(path, keep_model=self.project.recipe.compare.keep_models)
            self.board.finished(run)
        elif outcome.failure is not None and run.phase != "confirmation":
            self.board.done.add(run.id)
            self.board.say(f"the {run} failed: {outcome.failure}")
        elif not is_locked(path) and not (self.interrupts and code in (130, -signal.SIGINT)):
            self.refusals.append(f"the {run} {ending(code, self.log(run))}")

    @contextmanager
    def passing_on_interrupts(self) -> Iterator[None]:
        """The first Ctrl-C lets every run finish its step and keep a checkpoint; a second ends them at once."""

        def hear(number: int, frame: FrameType | None) -> None:
            self.interrupts += 1
            if self.interrupts == 1:
                self.board.say("stopping: runs finish their step and keep a checkpoint; press Ctrl-C again to end them")
            self.crew.interrupt()

        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def train_command(project: Project, run: Planned) -> list[str]:
    path = folder_of(project, run)
    if read_outcome(project, run).status != "absent":
        return ["train", str(path), "--resume", "--quiet"]
    return ["train", str(write_recipe(project, run)), "--run", str(path), "--profile", "none", "--quiet"]


def tidy(path: Path, *, keep_model: bool) -> None:
    """Checkpoints are of no use once a run is finished, and those of full fine-tuning fill a disk."""
    shutil.rmtree(path / "checkpoints", ignore_errors=True)
    if not keep_model:
        shutil.rmtree(path / "model", ignore_errors=True)
