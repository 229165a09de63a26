"""Which metrics of a run become charts, what each is called, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rltk.report.chart import Band, Chart, Line, Mark
from rltk.report.mean import mean
from rltk.report.metrics import KNOWN, REST, SECTIONS, Metric
from rltk.report.overoptimisation import proxy_and_gold
from rltk.report.read import WHEN, Run

ON_POLICY = ("grpo", "rloo", "ppo")
MOST_POINTS = 400
"""Of a line; longer runs are drawn as means over as many stretches of steps."""
POINTS_A_CHART = 2000
"""Of all runs together, which share them, so that a page of many runs stays under 3 MB."""
LEAST_POINTS = 10
SMOOTHED_FROM = 40
"""Points from which a moving mean is drawn over the line."""
SMOOTH = ("lr", "critic_lr", "kl_coefficient", "updates", "peak_memory_bytes")
"""Settings, and what only rises: there is no noise to take a mean of."""
INTERVAL = "{}_ci95"
"""What a metric's interval is called, where it is logged."""
MOST_BANDS = 4
"""Runs whose intervals are drawn; those of more would hide each other."""


def charts(runs: Sequence[Run]) -> dict[str, list[Chart]]:
    """A chart for each metric that any of the runs has, by section; metrics that are not known here come last.

    Of one run alone also what they show together.
    """
    keys = sorted({key for run in runs for row in run.metrics for key in row if key != "step"})
    found = {section: [chart(key, KNOWN[key], runs) for key in metrics] for section, metrics in SECTIONS.items()}
    found[REST] = [chart(key, words(key), runs) for key in keys if key not in KNOWN]
    overoptimised = proxy_and_gold(runs[0]) if len(runs) == 1 else None
    found["Learning"].append(overoptimised)
    with_data = {section: [made for made in many if made is not None] for section, many in found.items()}
    return {section: many for section, many in with_data.items() if many}


def silent(runs: Sequence[Run]) -> list[str]:
    """What was 0 at every step, in words, and so has no chart."""
    keys = dict.fromkeys(key for run in runs for row in run.metrics for key in row)
    zero = [key for key in keys if all(row.get(key, 0) == 0 for run in runs for row in run.metrics)]
    return [words(key).title for key in zero]


def words(key: str) -> Metric:
    return KNOWN.get(key) or Metric(key.replace("_", " ").capitalize())


def chart(key: str, metric: Metric, runs: Sequence[Run]) -> Chart | None:
    """None where no run has a number of it, or each says 0 all along: no news."""
    most = max(LEAST_POINTS, min(MOST_POINTS, POINTS_A_CHART // max(1, len(runs))))
    lines = [line for number, run in enumerate(runs) for line in lines_of(key, run, number, most)]
    marks = [mark for number, run in enumerate(runs) for mark in evaluations(key, run, number)]
    if not marks and not any(y for line in lines for _, y in line.points):
        return None
    title, about = accuracy_words(runs) if key == "accuracy" else (metric.title, metric.about)
    bands = [band for number, run in enumerate(runs) for band in bands_of(key, run, number, most)]
    if not 0 < len(bands) <= MOST_BANDS:
        return Chart(key, title, lines, marks, unit=metric.unit, about=about)
    return Chart(key, title, lines, marks, unit=metric.unit, about=f"{about} Bands: 95 % intervals.", bands=bands)


def accuracy_words(runs: Sequence[Run]) -> tuple[str, str]:
    if all(is_on_policy(run) for run in runs):
        return "Accuracy, held out", "Greedy; dots are the evaluations before and after, with 95 % intervals."
    return "Accuracy", "Share of a step's pairs whose chosen reply is preferred."


def lines_of(key: str, run: Run, number: int, most: int) -> Iterator[Line]:
    """The line, thinned where it is long; where it is noisy and has many points, faint below its moving mean."""
    marks = [(mark.x, mark.y) for mark in evaluations(key, run, number)]
    logged = [(row["step"], row[key]) for row in run.metrics if is_number_or_none(row.get(key, ""))]
    points = thinned([*marks[:1], *logged, *marks[1:]] if len(marks) == len(WHEN) else logged, most)
    defined = [y for _, y in points if y is not None]
    is_smoothed = len(defined) >= SMOOTHED_FROM and len(defined) == len(points) and key not in SMOOTH
    if not points:
        yield from room_for(marks, run)
        return
    yield Line(run.name, points, number, is_faint=is_smoothed)
    if is_smoothed:
        yield Line(run.name, moving_mean(points, max(5, len(points) // 20)), number)


def bands_of(key: str, run: Run, number: int, most: int) -> Iterator[Band]:
    """The interval of each evaluation while training, from that before to that after where there are both."""
    logged = [(row["step"], row.get(INTERVAL.format(key)) or (None, None)) for row in run.metrics]
    if all(None in interval for _, interval in logged):
        return
    marks = [(mark.x, mark.interval) for mark in evaluations(key, run, number)]
    found = [*marks[:1], *logged, *marks[1:]] if len(marks) == len(WHEN) else logged
    known = [(x, low, high) for x, (low, high) in found if low is not None and high is not None]
    lows, highs = (thinned([(x, bounds[side]) for x, *bounds in known], most) for side in (0, 1))
    pairs = zip(lows, highs, strict=True)
    points = [(x, low, high) for (x, low), (_, high) in pairs if low is not None and high is not None]
    yield Band(run.name, points, number)


def room_for(marks: Sequence[tuple[float, float]], run: Run) -> Iterator[Line]:
    """All steps of the run, so that an evaluation alone stands where it was made and not in the middle."""
    if marks and run.metrics:
        yield Line("", [(0, None), (run.metrics[-1]["step"], None)])


def evaluations(key: str, run: Run, number: int) -> Iterator[Mark]:
    """The scores before and after, beside the curve of the same task."""
    if key != "accuracy" or not is_on_policy(run):
        return
    last = run.metrics[-1]["step"] if run.metrics else 0
    for when, step in zip(WHEN, (0, last), strict=True):
        score = next(iter(run.scores.get(when, {}).values()), {})
        if score.get("accuracy") is not None:
            yield Mark(f"{when}, {run.name}", step, score["accuracy"], score.get("ci95", (None, None)), number)


def is_on_policy(run: Run) -> bool:
    return run.manifest["recipe"].get("algo", {}).get("type") in ON_POLICY


def is_number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def thinned(points: list[tuple[float, float | None]], most: int) -> list[tuple[float, float | None]]:
    """Means over stretches of equal length, where there are more points than are drawn."""
    if len(points) <= most:
        return points
    size = -(-len(points) // most)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], mean([y for _, y in part])) for part in parts]


def moving_mean(points: Sequence[tuple[float, float | None]], window: int) -> list[tuple[float, float | None]]:
    """Of the `window` points around each, fewer at the ends."""
    half = window // 2
    return [(x, mean([y for _, y in points[max(0, at - half) : at + half + 1]])) for at, (x, _) in enumerate(points)]
