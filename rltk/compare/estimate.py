"""How long runs will take: from finished ones, or from one of two steps that is made to find out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rltk.compare.arms import overlaid
from rltk.compare.costs import seconds
from rltk.compare.crew import ending, make_one
from rltk.compare.plan import Comparison, Planned, Project, folder_of, write_recipe
from rltk.errors import UserError
from rltk.run.folder import read_manifest, read_metrics

STEPS = 2
"""Of the run that is measured: the first step is slower than those after it."""


class Pace(NamedTuple):
    """Seconds a run takes beside its steps, mostly evaluations, and seconds a step."""

    overhead: float
    step: float

    def seconds(self, run: Planned) -> float:
        return self.overhead + self.step * run.recipe.optim.steps


def known_pace(project: Project, runs: Iterable[Planned]) -> Pace | None:
    """The typical pace of those runs that finished in one go; None where none did."""
    paces = [pace for pace in (pace_of(folder_of(project, run)) for run in runs) if pace is not None]
    if not paces:
        return None
    return Pace(median(pace.overhead for pace in paces), median(pace.step for pace in paces))


def pace_of(path: Path) -> Pace | None:
    if not (path / "manifest.json").exists():
        return None
    manifest = read_manifest(path)
    rows = read_metrics(path)
    if manifest.get("status") != "finished" or manifest.get("resumed") or not rows:
        return None
    whole = datetime.fromisoformat(manifest["finished"]) - datetime.fromisoformat(manifest["started"])
    return Pace(max(0.0, whole.total_seconds() - seconds(rows)), seconds(rows) / len(rows))


def measured_pace(comparison: Comparison, run: Planned) -> Pace:
    """The pace of a run of two steps on this machine, made in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        steps = min(STEPS, run.recipe.optim.steps)
        short = overlaid(run.recipe, {"optim": {"steps": steps, "warmup": 0}}, "the measured run")
        trial, elsewhere = replace(run, recipe=short), replace(comparison, path=Path(folder))
        path, log = elsewhere.folder(trial), Path(folder) / "log"
        recipe = str(write_recipe(elsewhere, trial))
        argv = ["train", recipe, "--run", str(path), "--profile", "none", "--quiet"]
        code = make_one(trial, argv, log)
        pace = pace_of(path)
        if pace is None:
            raise UserError(f"the measured {trial} {ending(code, log)}")
        return pace._replace(step=seconds(read_metrics(path)[-1:]))
