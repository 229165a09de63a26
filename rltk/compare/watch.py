"""What a person sees while runs are made: a live table on a terminal, a line a run elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rltk.compare.estimate import Pace, known_pace
from rltk.compare.outcomes import Outcome
from rltk.compare.plan import Planned, Project, folder_of
from rltk.run.folder import read_metrics
from rltk.run.progress import duration


class Running(NamedTuple):
    run: Planned
    step: int


class Found(Protocol):
    """What there is of a project: a comparison's survey, or a grid's."""

    @property
    def phases(self) -> dict[str, list[Planned]]:
        """Runs that are known to be needed."""
        ...

    @property
    def outcomes(self) -> dict[str, Outcome]: ...

    @property
    def runs(self) -> list[Planned]: ...


class Board:
    """Use as a context manager, so that the terminal is restored however it ends."""

    def __init__(self, project: Project, *, is_quiet: bool) -> None:
        # FORCE_COLOR, which many CI systems set, must not put escape codes into a piped log.
        is_terminal = None if sys.stderr.isatty() else False
        self.console = Console(stderr=True, quiet=is_quiet, highlight=False, force_terminal=is_terminal)
        self.project, self.is_live = project, self.console.is_interactive and not is_quiet
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.found: Found | None = None
        self.done: set[str] = set()
        self.pace: Pace | None = None
        self.started = time.monotonic()

    def __enter__(self) -> Board:
        if self.is_live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_live:
            self.live.stop()

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def begin(self, found: Found) -> None:
        """What there is and what is to be made, whenever that is known anew."""
        self.found = found
        self.done = {run.id for run in found.runs if found.outcomes[run.id].is_over}
        self.pace = known_pace(self.project, found.runs)

    def finished(self, run: Planned) -> None:
        self.done.add(run.id)
        if self.found is not None:
            self.pace = known_pace(self.project, self.found.runs)
        if not self.is_live:
            self.say(f"run {len(self.done)} is there, {self.left()} to make now: {run}")

    def left(self) -> int:
        return 0 if self.found is None else sum(run.id not in self.done for run in self.found.runs)

    def show(self, busy: list[Planned]) -> None:
        if self.is_live and self.found is not None:
            running = [Running(run, len(read_metrics(folder_of(self.project, run)))) for run in busy]
            self.live.update(self.table(self.found, running), refresh=True)

    def table(self, found: Found, running: list[Running]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), title=self.title(), title_justify="left")
        for column in ("arm", *found.phases, "running"):
            table.add_column(column)
        for arm in dict.fromkeys(run.arm for run in found.runs):
            at = [f"lr {run.lr:g}, seed {run.seed}: step {step}" for run, step in running if run.arm == arm]
            phases = [self.count(runs, arm) for runs in found.phases.values()]
            table.add_row(arm, *phases, "; ".join(at))
        return table

    def title(self) -> str:
        assert self.found is not None
        left = [run for run in self.found.runs if run.id not in self.done]
        said = f"{self.project.path}: {len(left)} runs to make now, {duration(time.monotonic() - self.started)} gone"
        return said if self.pace is None else f"{said}, {duration(sum(map(self.pace.seconds, left)))} of runs left"

    def count(self, runs: list[Planned], arm: str) -> str:
        own = [run for run in runs if run.arm == arm]
        return f"{sum(run.id in self.done for run in own)}/{len(own)}" if own else "-"
