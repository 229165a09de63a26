"""A run in one row, for lists of runs: on the terminal, in pages and for programs."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from rltk.report.axis import written
from rltk.report.read import Row

SHOWN = {"accuracy": "share", "reward": "", "loss": ""}
"""What a score may be of, and its unit."""


class RunRow(NamedTuple):
    path: Path
    name: str
    id: str
    algo: str
    arm: str
    """`lora-8` or `full`."""
    status: str
    steps: int
    total: int | None
    metric: str
    """What before and after are of."""
    before: float | None
    after: float | None
    started: str
    lr: float | None
    seed: int | None
    ended_early: bool
    """Because its reward was over-optimised."""

    @property
    def shown_status(self) -> str:
        return f"{self.status} early" if self.ended_early and self.status == "finished" else self.status

    @property
    def shown_before(self) -> str:
        return written(self.before, SHOWN[self.metric])

    @property
    def shown_after(self) -> str:
        return written(self.after, SHOWN[self.metric])

    @property
    def change(self) -> str:
        """`23.0% -> 94.1%`, as far as there is one."""
        if self.before is None and self.after is None:
            return ""
        return f"{self.shown_before} -> {self.shown_after}"

    @property
    def progress(self) -> str:
        return f"{self.steps}/{'?' if self.total is None else self.total}"


def run_row(path: Path, manifest: Row, metrics: list[Row], scores: Row, *, status: str | None = None) -> RunRow:
    """`before` and `after` are of the first task. `status` where more is known than the manifest says."""
    recipe = manifest["recipe"]
    metric, before, after = first_scores(scores)
    return RunRow(
        path=path,
        name=str(manifest.get("name", path.parent.name)),
        id=str(manifest.get("id", path.name)),
        algo=str(recipe.get("algo", {}).get("type", "")),
        arm=arm_of(recipe.get("tune", {})),
        status=status or str(manifest.get("status", "")),
        steps=metrics[-1]["step"] if metrics else 0,
        total=recipe.get("optim", {}).get("steps"),
        metric=metric,
        before=before,
        after=after,
        started=str(manifest.get("started", "")),
        lr=manifest.get("lr"),
        seed=manifest.get("seed"),
        ended_early=manifest.get("stopped") is not None,
    )


def first_scores(scores: Row) -> tuple[str, float | None, float | None]:
    sides = [next(iter(scores.get(when, {}).values()), {}) for when in ("before", "after")]
    metric = next((key for key in SHOWN if any(key in side for side in sides)), "accuracy")
    before, after = (side.get(metric) for side in sides)
    return metric, before, after


def arm_of(tune: Row) -> str:
    return f"lora-{tune.get('rank')}" if tune.get("type") == "lora" else str(tune.get("type", ""))


def to_json(row: RunRow) -> dict[str, Any]:
    return {**row._asdict(), "path": str(row.path)}


def when(started: str) -> str:
    """`2026-11-28 01:03`, in this machine's time; as it is where it is no time."""
    try:
        return datetime.fromisoformat(started).replace(tzinfo=timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return started
