"""Charts as SVG text: lines, bands, marks with intervals and rules. What they show is also said in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import inf, isinf
from typing import NamedTuple

from rltk.report.axis import GIB, Axis, make_axis, tick_label, ticks, written

WIDTH, HEIGHT = 460, 210
LEFT, RIGHT, TOP, BOTTOM = 60, 24, 10, 36  # charts.js has the same frame
ROOM = 0.05
LETTERS = 14
"""Pixels that a rule takes with its name over it."""
COLOURS, GREY = 8, 7
"""Classes c0 to c7 in page.css; lines differ in their dashes too."""
Point = tuple[float, float]


class Line(NamedTuple):
    label: str
    points: Sequence[tuple[float, float | None]]
    """None: undefined there, so the line has a gap."""
    colour: int = 0
    is_faint: bool = False


class Band(NamedTuple):
    """The room between two curves, such as a confidence band."""

    label: str
    points: Sequence[tuple[float, float, float]]
    """At each x the lower and the upper bound."""
    colour: int = 0


class Mark(NamedTuple):
    label: str
    x: float
    y: float
    interval: Sequence[float | None] = (None, None)
    colour: int = 0


class Rule(NamedTuple):
    """A horizontal line across the chart."""

    label: str
    y: float


class Chart(NamedTuple):
    key: str
    """Name of its file where it is written to one."""
    title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    rules: Sequence[Rule] = ()
    unit: str = ""
    x_title: str = "step"
    about: str = ""
    """A sentence under the title."""
    is_log_x: bool = False
    x_unit: str = ""
    x_labels: Sequence[tuple[float, str]] = ()
    """In place of numbers."""
    bands: Sequence[Band] = ()
    has_legend: bool = False
    """Whether its lines are named below it: they are not the runs or arms that the page has colours for."""
    limits: tuple[float, float] = (-inf, inf)
    """Values between which it is drawn; what lies beyond runs off it."""


def is_empty(chart: Chart) -> bool:
    return not chart.marks and not any(y is not None for line in chart.lines for _, y in line.points)


def draw(chart: Chart) -> str:
    """The chart as an SVG element; its classes are those of page.css."""
    x, y = axes(chart)
    drawn = [
        *(draw_band(band, x, y) for band in chart.bands),
        *(segment for line in chart.lines for segment in draw_line(line, x, y)),
        *(part for mark in chart.marks for part in draw_mark(mark, x, y, chart.unit)),
    ]
    parts = [*frame(chart, x, y), *(within_frame(drawn) if runs_off(chart) else drawn)]
    label = escape(in_words(chart), quote=True)
    scale = f'data-x="{x.low} {x.high}" data-y="{y.low} {y.high}" data-unit="{chart.unit}"'
    kind = ' data-log="1"' if chart.is_log_x else ' data-whole="1"' if chart.x_title == "step" else ""
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" {scale}{kind}>' + (
        "".join(parts) + "</svg>"
    )


def runs_off(chart: Chart) -> bool:
    return not all(map(isinf, chart.limits))


def within_frame(parts: Sequence[str]) -> Iterator[str]:
    """An SVG in an SVG shows nothing outside of it."""
    width, height = WIDTH - RIGHT - LEFT, HEIGHT - BOTTOM - TOP
    place = f'x="{LEFT}" y="{TOP}" width="{width}" height="{height}" viewBox="{LEFT} {TOP} {width} {height}"'
    yield f"<svg {place}>"
    yield from parts
    yield "</svg>"


def axes(chart: Chart) -> tuple[Axis, Axis]:
    defined = [(x, y) for line in chart.lines for x, y in line.points if y is not None]
    bounds = [bound for mark in chart.marks for bound in (mark.y, *mark.interval) if bound is not None]
    xs = [*(x for line in chart.lines for x, _ in line.points), *(mark.x for mark in chart.marks)]
    bounds += [bound for band in chart.bands for _, *both in band.points for bound in both]
    lowest, highest = chart.limits
    ys = [min(max(y, lowest), highest) for y in (*(y for _, y in defined), *bounds, *(rule.y for rule in chart.rules))]
    return (
        make_axis(xs, LEFT, WIDTH - RIGHT, is_log=chart.is_log_x),
        make_axis(with_room(ys) if chart.marks or chart.rules else ys, HEIGHT - BOTTOM, TOP),
    )


def with_room(values: Sequence[float]) -> list[float]:
    """With a little more at both ends, so that no dot and no rule lies on the frame; nothing lies below a lowest 0."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [*values, high + ROOM * (high - low), low - ROOM * (high - low) if low else low]


def frame(chart: Chart, x: Axis, y: Axis) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in y_ticks(chart, y):
        at = y(value)
        yield f'<path class="grid" d="M{LEFT} {at}H{right}"/>'
        yield text(LEFT - 6, at + 3.5, tick_label(value, chart.unit), "end")
    for value, label in chart.x_labels or [(value, tick_label(value, chart.x_unit)) for value in x_ticks(chart, x)]:
        yield text(x(value), bottom + 15, label, "middle")
    yield f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>'
    yield text((LEFT + right) / 2, HEIGHT - 4, chart.x_title, "middle")
    yield from draw_rules(chart.rules, y)


def y_ticks(chart: Chart, y: Axis) -> list[float]:
    return ticks(y, per=GIB if chart.unit == "bytes" else 1.0)


def x_ticks(chart: Chart, x: Axis) -> list[float]:
    """There is no step 1.5."""
    return [value for value in ticks(x) if chart.x_title != "step" or value == round(value)]


def draw_rules(rules: Sequence[Rule], y: Axis) -> Iterator[str]:
    """Each with its name over it, where there is room for that."""
    named = named_rules(rules, y)
    for rule in rules:
        at = y(rule.y)
        yield f'<path class="rule" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>'
        if rule in named:
            yield text(WIDTH - RIGHT, at - 4, rule.label, "end")


def named_rules(rules: Sequence[Rule], y: Axis) -> list[Rule]:
    """Those whose names lie neither on another rule nor on one another: of such the first is kept."""
    named: list[Rule] = []
    for rule in rules:
        is_free = not any(0 < y(rule.y) - y(other.y) < LETTERS for other in rules)
        if is_free and all(abs(y(rule.y) - y(other.y)) >= LETTERS for other in named):
            named.append(rule)
    return named


def draw_band(band: Band, x: Axis, y: Axis) -> str:
    edge = [(at, high) for at, _, high in band.points] + [(at, low) for at, low, _ in reversed(band.points)]
    path = " ".join(f"{x(at):g},{y(value):g}" for at, value in edge)
    return f'<polygon class="band c{band.colour % COLOURS}" points="{path}"/>'


def draw_line(line: Line, x: Axis, y: Axis) -> Iterator[str]:
    names = f"line c{line.colour % COLOURS}{' faint' if line.is_faint else ''}"
    label = escape(line.label, quote=True)
    for part in unbroken(line.points):
        if len(part) == 1:
            (at, value), *_ = part
            place = f'cx="{x(at)}" cy="{y(value)}" r="2.5"'
            yield f'<circle class="dot c{line.colour % COLOURS}" data-label="{label}" {place}/>'
            continue
        path = " ".join(f"{x(at):g},{y(value):g}" for at, value in part)
        yield f'<polyline class="{names}" data-label="{label}" points="{path}"/>'


def unbroken(points: Sequence[tuple[float, float | None]]) -> Iterator[list[Point]]:
    """Runs of points that are all defined."""
    part: list[Point] = []
    for at, value in points:
        if value is not None:
            part.append((at, value))
        elif part:
            yield part
            part = []
    if part:
        yield part


def draw_mark(mark: Mark, x: Axis, y: Axis, unit: str) -> Iterator[str]:
    at, (low, high) = x(mark.x), mark.interval
    if low is not None and high is not None:
        yield f'<path class="whisker c{mark.colour % COLOURS}" d="M{at} {y(low)}V{y(high)}"/>'
    title = escape(mark_in_words(mark, unit))
    size = 2.5 if mark.colour == GREY else 4
    place = f'cx="{at}" cy="{y(mark.y)}" r="{size}"'
    yield f'<circle class="dot c{mark.colour % COLOURS}" {place}><title>{title}</title></circle>'


def text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def in_words(chart: Chart) -> str:
    """What someone hears who does not see the chart."""
    said = [line_in_words(line, chart) for line in chart.lines if not line.is_faint and line.label]
    said += [band_in_words(band, chart) for band in chart.bands if band.points]
    said += [mark_in_words(mark, chart.unit) for mark in chart.marks]
    said += [f"{rule.label} at {written(rule.y, chart.unit)}" for rule in chart.rules]
    return f"{chart.title} over {chart.x_title}. {'; '.join(filter(None, said))}."


def line_in_words(line: Line, chart: Chart) -> str:
    defined = [(x, y) for x, y in line.points if y is not None]
    if not defined:
        return f"{line.label}: undefined"
    (first, begins), (last, ends), ys = defined[0], defined[-1], [y for _, y in defined]
    begin, end, low, high = (written(value, chart.unit) for value in (begins, ends, min(ys), max(ys)))
    return f"{line.label}: {begin} at {first:g}, {end} at {last:g}, lowest {low}, highest {high}"


def band_in_words(band: Band, chart: Chart) -> str:
    at, low, high = band.points[-1]
    return f"{band.label}: {written(low, chart.unit)} to {written(high, chart.unit)} at {at:g}"


def mark_in_words(mark: Mark, unit: str) -> str:
    low, high = mark.interval
    between = "" if low is None or high is None else f" ({written(low, unit)} to {written(high, unit)})"
    return f"{mark.label}: {written(mark.y, unit)}{between}"
