"""The runs in a folder, however deep, and whether a process still works on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rltk.errors import UserError
from rltk.report.read import Run, read_run
from rltk.report.table import RunRow, run_row
from rltk.run.lock import is_locked


def find_runs(folder: Path) -> list[RunRow]:
    """Damaged ones are passed over: a list of the others is worth more than none."""
    return [row_of(run) for run in read_all(folder)]


def read_all(folder: Path) -> Iterator[Run]:
    for file in sorted(folder.rglob("manifest.json")):
        try:
            yield read_run(file.parent, with_items=False)
        except UserError:
            continue


def row_of(run: Run) -> RunRow:
    return run_row(run.path, run.manifest, run.metrics, run.scores, status=status(run))


def status(run: Run) -> str:
    """As the manifest has it, but `stopped` for a run whose process was killed before it could say so."""
    said = str(run.manifest.get("status", ""))
    return "stopped" if said == "running" and not is_locked(run.path) else said
