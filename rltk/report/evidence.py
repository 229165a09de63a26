"""What the verdict of a comparison rests on, as charts.

Shapes: S seeds, T steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from statistics import fmean

import numpy as np
from rltk_eval.equivalence.curves import difference_band
from rltk_eval.equivalence.scores import Array

from rltk.recipe.sections.compare import SHARES
from rltk.report.chart import GREY, Band, Chart, Line, Mark, Rule
from rltk.report.read import Comparison, Row, Run
from rltk.run.curves import Curves, curves_of
from rltk.run.folder import read_object

CONFIDENCE = 0.95
APART = 0.035
"""Decades by which arms stand apart at one learning rate, so that their intervals can be told from each other."""
FEWEST = 3
"""Seeds that bands are drawn from: from two, Student's t gives bands that reach everywhere."""
TOO_FEW = "too few for bands"
SHARE = 0.8
"""Of the way to the next learning rate, which all arms together take up at most."""


def charts(comparison: Comparison, confirmation: list[Run]) -> list[Chart]:
    """Differences, the sweep of learning rates, curves of the confirmation runs, and the spectra of their updates."""
    names = list(comparison.found["arms"])
    metric = "reward" if any("reward" in row for run in confirmation for row in run.metrics) else "loss"
    curves = {name: curves_among(metric, runs_of(name, confirmation)) for name in names}
    drawn = [
        difference_chart(comparison),
        rate_chart(comparison),
        curve_chart(metric, curves),
        apart_chart(metric, curves, comparison.found["reference"]),
        spectrum_chart(names, confirmation),
    ]
    return [chart for chart in drawn if chart is not None]


def metric_of(found: Row) -> str:
    return found.get("metric", "greedy")


def unit_of(found: Row) -> str:
    """Shares are shown in per cent; a loss and a reward are numbers."""
    return "share" if metric_of(found) in SHARES else ""


def score_name(found: Row) -> str:
    return "Accuracy" if metric_of(found) in SHARES else metric_of(found).capitalize()


def scale_of(found: Row) -> str:
    """What differences are counted in."""
    if metric_of(found) in SHARES:
        return "points"
    return "nats of loss" if metric_of(found) == "loss" else "units of reward"


def runs_of(name: str, runs: Sequence[Run]) -> list[Run]:
    """Those of an arm, by the name of their folder."""
    return [run for run in runs if run.path.name.startswith(f"{name}-lr")]


def difference_chart(comparison: Comparison) -> Chart | None:
    """Arm less reference, arm beside arm, with the margin drawn."""
    found = comparison.found
    margin, arms = found["margin"]["value"], list(found["verdicts"])
    marks = [mark for at, arm in enumerate(arms, 1) for mark in differences(found, arm, at)]
    if not marks or margin is None:
        return None
    rules = [Rule("margin", margin), Rule("no difference", 0.0), Rule("margin", -margin)]
    unit = "points" if unit_of(found) == "share" else ""
    scale = f"In {scale_of(found)}" + (", above 0 where the arm's is lower" if metric_of(found) == "loss" else "")
    about = f"Large dots with the interval of the verdict: mean over seeds; grey dots: seeds. {scale}."
    title = f"Better than {found['reference']} by"
    room, labels = Line("", [(0.5, None), (len(arms) + 0.6, None)]), list(enumerate(arms, 1))
    return Chart("difference", title, [room], marks, rules, unit, "arm", about, x_labels=labels)


def differences(found: Row, arm: str, at: int) -> Iterator[Mark]:
    """Of every seed that both have, a little beside the mean with its interval."""
    verdict, reference = found["verdicts"][arm], found["arms"][found["reference"]]["seeds"]
    sign = -1 if metric_of(found) == "loss" else 1
    for seed, value in found["arms"][arm]["seeds"].items():
        if seed in reference:
            yield Mark(f"{arm}, seed {seed}", at + 0.12, sign * (value - reference[seed]), (None, None), GREY)
    if verdict["difference"] is not None:
        yield Mark(arm, at, verdict["difference"], verdict["interval"], list(found["arms"]).index(arm))


def rate_chart(comparison: Comparison) -> Chart | None:
    """The final score over learning rates, a line an arm, of the longest runs of the sweep."""
    sweep = comparison.found.get("sweep") or {}
    kept = {arm: longest([row for row in rows if row["score"] is not None]) for arm, rows in sweep.items()}
    apart = min(APART, SHARE * finest(kept) / max(1, len(kept) - 1))
    shifts = {arm: 10 ** (apart * (number - (len(kept) - 1) / 2)) for number, arm in enumerate(kept)}
    means = [rate_means(arm, rows, shifts[arm], number) for number, (arm, rows) in enumerate(kept.items())]
    lines = [Line(arm, [(mark.x, mark.y) for mark in means[number]], number) for number, arm in enumerate(kept)]
    marks = [mark for of_arm in means for mark in of_arm]
    if not marks:
        return None
    seeds = len({row["seed"] for rows in kept.values() for row in rows})
    many = f"Means over {seeds} seeds, on the tuning split; bars reach from the lowest seed to the highest."
    about = many if seeds > 1 else "One seed, on the tuning split."
    title = f"{score_name(comparison.found)} over learning rates"
    drawn = Chart("rates", title, lines, marks, unit=unit_of(comparison.found), x_title="learning rate", is_log_x=True)
    start = before_training(comparison.found)
    if start is None or not any(mark.y > start for mark in marks) or not any(mark.y < start for mark in marks):
        return drawn._replace(about=about)
    about = f"{about} What ended worse than it began runs off the chart."
    return drawn._replace(about=about, rules=[Rule("before training", start)], limits=(-inf, start))


def before_training(found: Row) -> float | None:
    """The mean loss on the test split that the runs began with; None of other metrics, which do not run away."""
    losses = [loss for loss in (found.get("start") or {}).values() if loss is not None]
    return fmean(losses) if losses and metric_of(found) == "loss" else None


def finest(kept: dict[str, list[Row]]) -> float:
    """Decades between the two nearest learning rates of any arm; infinite where there is but one."""
    rates = [np.log10(sorted({row["lr"] for row in rows})) for rows in kept.values()]
    return min((float(gap) for x_L in rates for gap in np.diff(x_L)), default=inf)


def longest(rows: list[Row]) -> list[Row]:
    """Those of most steps: earlier rounds of a halving are shorter and cannot be held beside them."""
    most = max((row.get("steps") or 0 for row in rows), default=0)
    return [row for row in rows if (row.get("steps") or 0) == most]


def rate_means(arm: str, rows: list[Row], shift: float, colour: int) -> list[Mark]:
    """At each rate the mean over seeds, between the lowest and the highest of them.

    Not a confidence interval: from two seeds it would reach anywhere, and the spread of other rates is another one,
    since runs fall apart at rates that are too high.
    """
    by_rate = {lr: [row["score"] for row in rows if row["lr"] == lr] for lr in sorted({row["lr"] for row in rows})}
    return [
        Mark(f"{arm} at {lr:g}", lr * shift, fmean(scores), (min(scores), max(scores)), colour)
        for lr, scores in by_rate.items()
    ]


def curves_among(metric: str, runs: Sequence[Run]) -> Curves | None:
    """None with fewer than two runs or two steps that all of them have a number for."""
    found = curves_of(metric, {int(run.manifest["recipe"]["seed"]): run.metrics for run in runs})
    return found if len(found.seeds) >= 2 and len(found.step_T) >= 2 else None


def curve_chart(metric: str, curves: dict[str, Curves | None]) -> Chart | None:
    """The mean over each arm's seeds, with a band in which the whole of it lies."""
    known = {(number, name): found for number, (name, found) in enumerate(curves.items()) if found is not None}
    if not known:
        return None
    lines, bands = [], []
    for (number, name), found in known.items():
        band = difference_band(found.step_T, found.value_ST, np.zeros_like(found.value_ST), confidence=CONFIDENCE)
        lines.append(Line(name, points(found.step_T, band.mean_T), number))
        bands.append(Band(name, room(found, band.low_T, band.high_T), number))
    seeds = len(next(iter(known.values())).seeds)
    about = f"Mean over {seeds} seeds; {'bands hold the whole mean curve at 95 %' if seeds >= FEWEST else TOO_FEW}."
    title = f"{metric.capitalize()} of the confirmation runs"
    return framed(Chart("curves", title, lines, about=about, bands=bands))


def apart_chart(metric: str, curves: dict[str, Curves | None], reference: str) -> Chart | None:
    """How far each arm's curve is from the reference's, seed by seed, with a band that holds everywhere at once."""
    base = curves.get(reference)
    lines, bands = [], []
    for number, (name, found) in enumerate(curves.items()):
        if name in (reference, "control") or found is None or base is None or not is_paired(found, base):
            continue
        band = difference_band(found.step_T, found.value_ST, base.value_ST)
        lines.append(Line(name, points(found.step_T, band.mean_T), number))
        bands.append(Band(name, room(found, band.low_T, band.high_T), number))
    if base is None or not lines:
        return None
    width = "simultaneous 90 % bands" if len(base.seeds) >= FEWEST else TOO_FEW
    about = f"Paired by seed, which share their problems; {width}."
    rules = [Rule("no difference", 0.0)]
    title = f"{metric.capitalize()} less that of {reference}"
    return framed(Chart("apart", title, lines, (), rules, about=about, bands=bands))


def framed(chart: Chart) -> Chart:
    """So that its curves can be read: bands over few seeds may reach further than all of them."""
    low, high = around(chart)
    is_wider = any(below < low or above > high for band in chart.bands for _, below, above in band.points)
    about = f"{chart.about} They reach beyond the chart."
    return chart._replace(limits=(low, high), about=about) if is_wider else chart


def around(chart: Chart) -> tuple[float, float]:
    """Where its lines and rules lie, and as much again above and below."""
    values = [value for line in chart.lines for _, value in line.points if value is not None]
    values += [rule.y for rule in chart.rules]
    low, high = min(values), max(values)
    return (2 * low - high, 2 * high - low) if high > low else (-inf, inf)


def is_paired(one: Curves, other: Curves) -> bool:
    return one.seeds == other.seeds and np.array_equal(one.step_T, other.step_T)


def points(step_T: Array, value_T: Array) -> list[tuple[float, float | None]]:
    return list(zip(step_T.tolist(), value_T.tolist(), strict=True))


def room(found: Curves, low_T: Array, high_T: Array) -> list[tuple[float, float, float]]:
    """Empty where there is too little to judge a spread from."""
    if len(found.seeds) < FEWEST or not (np.isfinite(low_T).all() and np.isfinite(high_T).all()):
        return []
    return list(zip(found.step_T.tolist(), low_T.tolist(), high_T.tolist(), strict=True))


def spectrum_chart(names: list[str], runs: Sequence[Run]) -> Chart | None:
    """Singular values of what training added, relative to the largest: the mean over matrices and runs of an arm."""
    found = {(number, name): mean_spectrum(runs_of(name, runs)) for number, name in enumerate(names)}
    lines = [Line(name, values, number) for (number, name), values in found.items() if values]
    if not lines:
        return None
    about = "Relative to the largest; means over matrices and seeds. Of what full fine-tuning added, the first 64."
    title = "Singular values of the update"
    return Chart("spectra", title, lines, unit="share", x_title="singular value, by size", about=about, is_log_x=True)


def mean_spectrum(runs: Sequence[Run]) -> list[tuple[float, float | None]]:
    matrices = [
        matrix for run in runs for matrix in read_object(run.path / "adapter.json").get("matrices", {}).values()
    ]
    spectra = [m["singular_values"] for m in matrices if m.get("singular_values") and m["singular_values"][0] > 0]
    width = min((len(values) for values in spectra), default=0)
    return [(place + 1, fmean(values[place] / values[0] for values in spectra)) for place in range(width)]
