"""A chart as PNG, for places that take no SVG: the same axes, names and dashes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from rltk.report.axis import tick_label
from rltk.report.chart import GREY, Chart, axes, named_rules, runs_off, unbroken, x_ticks, y_ticks
from rltk.report.legend import entries, rows_of
from rltk.run.atomic import write_bytes

WIDTH, HEIGHT, ROW, DPI = 6.4, 3.6, 0.2, 150
"""Inches: of the chart, and the height of a row of the legend."""
FAINT, THICK = 0.35, 1.8


class Stroke(NamedTuple):
    colour: str
    dashes: tuple[float, ...]
    """Lengths of dashes and gaps, in turns; empty for a line without."""


def write_png(chart: Chart, path: Path, strokes: Sequence[Stroke]) -> None:
    """The same chart gives the same bytes with the same matplotlib."""
    rows = rows_of(entries(chart))
    figure = Figure(figsize=(WIDTH, HEIGHT + ROW * len(rows)), dpi=DPI, layout="constrained")
    place = figure.subplots()
    draw_lines(place, chart, strokes)
    draw_marks(place, chart, strokes)
    draw_rules(place, chart)
    dress(place, chart)
    if rows:
        samples = [Line2D([], [], **line_style(colour, strokes)) for row in rows for _, colour in row]
        names = [label for row in rows for label, _ in row]
        columns = max(map(len, rows))
        figure.legend(samples, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    write_bytes(path, drawn.getvalue())


def draw_lines(place: Axes, chart: Chart, strokes: Sequence[Stroke]) -> None:
    for band in chart.bands:
        if band.points:
            xs, lows, highs = zip(*band.points, strict=True)
            colour = strokes[band.colour % len(strokes)].colour
            place.fill_between(xs, lows, highs, color=colour, alpha=0.13, linewidth=0)
    for line in chart.lines:
        xs, ys = [x for x, _ in line.points], [nan if y is None else y for _, y in line.points]
        style = line_style(line.colour, strokes)
        place.plot(xs, ys, **style | ({"alpha": FAINT, "linestyle": "-", "linewidth": 1} if line.is_faint else {}))
        alone = [part[0] for part in unbroken(line.points) if len(part) == 1]
        place.plot([x for x, _ in alone], [y for _, y in alone], "o", color=style["color"], markersize=3)


def line_style(colour: int, strokes: Sequence[Stroke]) -> dict[str, Any]:
    stroke = strokes[colour % len(strokes)]
    # matplotlib takes dashes in widths of the line, and its points stand for the page's pixels.
    dashes = (0, tuple(length / THICK for length in stroke.dashes)) if stroke.dashes else "-"
    return {"color": stroke.colour, "linewidth": THICK, "linestyle": dashes}


def draw_marks(place: Axes, chart: Chart, strokes: Sequence[Stroke]) -> None:
    is_cut = runs_off(chart)  # otherwise a dot on the frame is whole
    for mark in chart.marks:
        color, (low, high) = strokes[mark.colour % len(strokes)].colour, mark.interval
        if low is not None and high is not None:
            place.plot([mark.x, mark.x], [low, high], color=color, linewidth=THICK, clip_on=is_cut)
        place.plot([mark.x], [mark.y], "o", color=color, markersize=3 if mark.colour == GREY else 5, clip_on=is_cut)


def draw_rules(place: Axes, chart: Chart) -> None:
    named = named_rules(chart.rules, axes(chart)[1])
    for rule in chart.rules:
        place.axhline(rule.y, color="#1c2430", linestyle="--", linewidth=0.8)
        if rule in named:
            where = ((1, rule.y), (0, 3), ("axes fraction", "data"), "offset points")
            place.annotate(rule.label, *where, ha="right", size=8)


def dress(place: Axes, chart: Chart) -> None:
    x, y = axes(chart)
    place.set(title=chart.title, xlabel=chart.x_title)
    if chart.is_log_x:
        place.set_xscale("log")
    place.set_xlim(x.low, x.high)
    place.set_ylim(y.low, y.high)
    labels = chart.x_labels or [(value, tick_label(value, chart.x_unit)) for value in x_ticks(chart, x)]
    place.set_xticks([value for value, _ in labels], [label for _, label in labels])
    place.xaxis.set_minor_locator(NullLocator())
    place.set_yticks(y_ticks(chart, y))
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value, chart.unit)))
    place.grid(axis="y", linewidth=0.5, color="#d8dee6")
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
