"""A chart as PNG, for places that take no SVG."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from rltk.report.axis import tick_label
from rltk.report.chart import GREY, Chart

SIZE, DPI = (6.4, 3.6), 150
FAINT = 0.35


def write_png(chart: Chart, path: Path, colours: Sequence[str]) -> None:
    """The same chart gives the same bytes with the same matplotlib."""
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    draw(figure.subplots(), chart, colours)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def draw(axes: Axes, chart: Chart, colours: Sequence[str]) -> None:
    for band in chart.bands:
        if band.points:
            xs, lows, highs = zip(*band.points, strict=True)
            axes.fill_between(xs, lows, highs, color=colours[band.colour % len(colours)], alpha=0.13, linewidth=0)
    for line in chart.lines:
        xs, ys = [x for x, _ in line.points], [nan if y is None else y for _, y in line.points]
        style = {"color": colours[line.colour % len(colours)], "alpha": FAINT if line.is_faint else 1.0}
        axes.plot(xs, ys, label=line.label if line.label and not line.is_faint else "_", linewidth=1.6, **style)
    for mark in chart.marks:
        color, (low, high) = colours[mark.colour % len(colours)], mark.interval
        if low is not None and high is not None:
            axes.plot([mark.x, mark.x], [low, high], color=color, linewidth=1.6)
        axes.plot([mark.x], [mark.y], "o", color=color, markersize=3 if mark.colour == GREY else 5)
    for rule in chart.rules:
        axes.axhline(rule.y, color="#1c2430", linestyle="--", linewidth=0.8)
        axes.annotate(rule.label, (1, rule.y), (0, 3), ("axes fraction", "data"), "offset points", ha="right", size=8)
    dress(axes, chart)


def dress(axes: Axes, chart: Chart) -> None:
    axes.set(title=chart.title, xlabel=chart.x_title)
    if chart.is_log_x:
        axes.set_xscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value, chart.unit)))
    if chart.x_labels:
        axes.set_xticks([x for x, _ in chart.x_labels], [label for _, label in chart.x_labels])
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", linewidth=0.5, color="#d8dee6")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if any(line.label and not line.is_faint for line in chart.lines):
        axes.legend(frameon=False, fontsize=8)
