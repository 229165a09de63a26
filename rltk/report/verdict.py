"""What a comparison of arms found, as the page has it: its charts and the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import NamedTuple

from rltk.report.axis import written
from rltk.report.chart import GREY, Chart, Line, Mark, Rule
from rltk.report.read import Comparison, Row, Run


class Arm(NamedTuple):
    """A row of the table of arms, in words."""

    name: str
    lr: str
    accuracy: str
    difference: str
    interval: str
    verdict: str
    seconds: str
    tokens: str
    memory: str


def arms(comparison: Comparison) -> list[Arm]:
    found, spent = comparison.found, comparison.costs
    return [
        Arm(
            name=name if row.get("of", name) == name else f"{name} ({row['of']}, learning rate too low)",
            lr=f"{row['lr']:.3g}",
            accuracy=written(row["accuracy"], "share"),
            **against(found["verdicts"].get(name)),
            **cost_words(spent.get(name, {})),
        )
        for name, row in found["arms"].items()
    ]


def against(verdict: Row | None) -> dict[str, str]:
    """Empty for the reference and for the control, on which there is no verdict."""
    if verdict is None:
        return {"difference": "", "interval": "", "verdict": ""}
    low, high = verdict["interval"]
    return {
        "difference": written(verdict["difference"], "points"),
        "interval": "-" if low is None else f"[{written(low, 'points')}, {written(high, 'points')}]",
        "verdict": verdict["verdict"].replace("_", " "),
    }


def cost_words(spent: Row) -> dict[str, str]:
    memory = spent.get("peak_memory_bytes")
    return {
        "seconds": written(spent.get("seconds")),
        "tokens": written(spent.get("tokens")),
        "memory": "-" if memory is None else f"{memory / 2**30:.2f} GiB",
    }


def charts(comparison: Comparison, confirmation: list[Run]) -> list[Chart]:
    """What the verdict rests on: differences, the sweep of learning rates, and curves of the confirmation runs."""
    drawn = [
        difference_chart(comparison),
        rate_chart(comparison),
        curve_chart(confirmation, list(comparison.found["arms"])),
    ]
    return [chart for chart in drawn if chart is not None]


def rate_chart(comparison: Comparison) -> Chart | None:
    """Accuracy over learning rates, a line an arm, of the longest runs of the sweep; dots are seeds."""
    sweep = comparison.found.get("sweep") or {}
    kept = {arm: longest([row for row in rows if row["accuracy"] is not None]) for arm, rows in sweep.items()}
    lines = [Line(arm, rate_means(rows), number) for number, (arm, rows) in enumerate(kept.items())]
    marks = [
        Mark(f"{arm}, seed {row['seed']}", row["lr"], row["accuracy"], (None, None), number)
        for number, (arm, rows) in enumerate(kept.items())
        for row in rows
    ]
    if not marks:
        return None
    about = "On the tuning split; each arm goes on with the best rate of its own."
    title, x_title = "Accuracy over learning rates", "learning rate"
    return Chart("rates", title, lines, marks, unit="share", x_title=x_title, about=about, is_log_x=True)


def longest(rows: list[Row]) -> list[Row]:
    """Those of most steps: earlier rounds of a halving are shorter and cannot be held beside them."""
    most = max((row.get("steps") or 0 for row in rows), default=0)
    return [row for row in rows if (row.get("steps") or 0) == most]


def rate_means(rows: list[Row]) -> list[tuple[float, float | None]]:
    rates = sorted({row["lr"] for row in rows})
    return [(lr, fmean(row["accuracy"] for row in rows if row["lr"] == lr)) for lr in rates]


def curve_chart(runs: list[Run], names: list[str]) -> Chart | None:
    """Reward over steps, the mean over each arm's seeds, with the seeds faint behind it."""
    lines: list[Line] = []
    for number, name in enumerate(names):
        own = [run for run in runs if run.manifest["id"].startswith(f"{name}-lr")]
        curves = [[(row["step"], row.get("reward")) for row in run.metrics] for run in own]
        lines += [Line(name, curve, number, is_faint=True) for curve in curves]
        lines += [Line(name, mean_curve(curves), number)] if curves else []
    return Chart("curves", "Reward of the confirmation runs", lines) if lines else None


def mean_curve(curves: list[list[tuple[float, float | None]]]) -> list[tuple[float, float | None]]:
    """As far as all of them go."""
    columns = zip(*curves, strict=False)
    return [(column[0][0], mean([y for _, y in column if y is not None])) for column in columns]


def mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def difference_chart(comparison: Comparison) -> Chart | None:
    """Arm less reference, arm beside arm, with the margin drawn."""
    found = comparison.found
    margin, arms = found["margin"]["value"], list(found["verdicts"])
    marks = [mark for at, arm in enumerate(arms, 1) for mark in differences(found, arm, at)]
    if not marks or margin is None:
        return None
    rules = [Rule("margin", margin), Rule("no difference", 0.0), Rule("margin", -margin)]
    about = "Large dots with the interval of the verdict: mean over seeds; grey dots: seeds. In points of accuracy."
    title = f"Difference from {comparison.found['reference']}"
    room, labels = Line("", [(0.5, None), (len(arms) + 0.6, None)]), list(enumerate(arms, 1))
    return Chart("difference", title, [room], marks, rules, "points", "arm", about, x_labels=labels)


def differences(found: Row, arm: str, at: int) -> Iterator[Mark]:
    """Of every seed that both have, a little beside the mean with its interval."""
    verdict, reference = found["verdicts"][arm], found["arms"][found["reference"]]["seeds"]
    for seed, value in found["arms"][arm]["seeds"].items():
        if seed in reference:
            yield Mark(f"{arm}, seed {seed}", at + 0.12, value - reference[seed], (None, None), GREY)
    if verdict["difference"] is not None:
        yield Mark(arm, at, verdict["difference"], verdict["interval"], at)
