"""Finished runs of a grid as the rows that `rltk scaling fit` reads."""

from collections.abc import Iterator
from math import isfinite, nan
from statistics import fmean
from typing import Any

from rltk.compare.measures import read_scores, task_of
from rltk.compare.plan import Planned, folder_of
from rltk.errors import UserError
from rltk.run.folder import read_jsonl
from rltk.scaling.grid import Found, Grid, Point

LAST = 0.1
"""Share of a run's steps whose mean is its training loss."""


def rows(grid: Grid, found: Found) -> list[dict[str, Any]]:
    """Of every point whose runs have all ended; at a point with several learning rates those of the best."""
    done = [point for point in grid.points if all(found.outcomes[run.id].is_over for run in all_of(point))]
    return [row for point in done for row in rows_of(grid, found, point)]


def all_of(point: Point) -> list[Planned]:
    return [run for runs in point.runs.values() for run in runs]


def rows_of(grid: Grid, found: Found, point: Point) -> Iterator[dict[str, Any]]:
    losses = {lr: [loss(grid, found, run) for run in runs] for lr, runs in point.runs.items()}
    means = {lr: fmean(values) for lr, values in losses.items() if all(map(isfinite, values))}
    best = min(means, key=means.__getitem__) if means else next(iter(losses))
    for run, value in zip(point.runs[best], losses[best], strict=True):
        size = {"size": grid.sizes[point.model]} if grid.sizes else {}
        yield {
            "arm": point.arm,
            **size,
            "data": point.data,
            "loss": value,
            "model": point.model,
            "lr": best,
            "rates_tried": len(losses),
            "seed": run.seed,
            "run": str(folder_of(grid, run)),
        }


def loss(grid: Grid, found: Found, run: Planned) -> float:
    """nan of a run that failed."""
    if found.outcomes[run.id].status == "failed":
        return nan
    return training_loss(grid, run) if grid.recipe.compare.scaling.loss == "training" else error(grid, run)


def training_loss(grid: Grid, run: Planned) -> float:
    metrics = [row["loss"] for row in read_jsonl(folder_of(grid, run) / "metrics.jsonl")]
    last = metrics[-max(1, round(LAST * len(metrics))) :]
    return fmean(value if value is not None else nan for value in last)


def error(grid: Grid, run: Planned) -> float:
    """The share of answers or pairs that is wrong in the end, half an item more each way: a law has no place for 0."""
    path = folder_of(grid, run)
    score = read_scores(path)["after"][task_of(path, "after")]
    accuracy, count = score.get("accuracy"), score.get("n")
    if not isinstance(accuracy, float) or not isinstance(count, int):
        raise UserError(f"{path / 'scores.json'}: accuracy after training is {accuracy!r} of {count!r}, no number.")
    return ((1 - accuracy) * count + 0.5) / (count + 1)
