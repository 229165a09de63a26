"""Charts as files of their own, SVG and PNG, each with its title and legend, in the colours of a light page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from rltk.errors import UserError
from rltk.report import curves, evidence
from rltk.report.chart import COLOURS, HEIGHT, LEFT, WIDTH, Chart, draw, text
from rltk.report.legend import Entry, entries, rows_of
from rltk.report.page import TEMPLATES, runs_under
from rltk.report.ranking import rankings
from rltk.report.raster import Stroke, write_png
from rltk.report.read import Run, is_comparison, read_comparison, read_run
from rltk.run.atomic import write_text

FONT = "svg.chart{font-family:system-ui,sans-serif;background:#fff}svg.chart .title{fill:#1c2430;font-size:13px}"
HEAD, ROW = 24, 17
"""Pixels of the title, and of a row of the legend."""


def write_figures(paths: list[Path], folder: Path) -> list[Path]:
    """Two files a chart of the page that these runs, or this comparison, would have."""
    colours = light_colours()
    style, strokes = light_style(colours), light_strokes(colours)
    charts = list(charts_of(paths))
    files = [folder / f"{name}.svg" for name in file_names(charts)]
    try:
        for chart, file in zip(charts, files, strict=True):
            write_text(file, standalone(chart, style))
            write_png(chart, file.with_suffix(".png"), strokes)
    except OSError as error:
        raise UserError(f"charts cannot be written into {folder}: {error.strerror}; name another --figures.") from error
    return [path for file in files for path in (file, file.with_suffix(".png"))]


def charts_of(paths: list[Path]) -> Iterable[Chart]:
    if is_comparison(paths[0]):
        comparison = read_comparison(paths[0])
        runs = runs_under(paths[0] / "confirmation")
        return evidence.charts(comparison, runs)
    runs = [read_run(path, with_items=False) for path in paths]
    drawn = [chart for charts in curves.charts(runs).values() for chart in charts]
    own = [(run, chart) for run in runs for ranking in rankings(run) for chart in ranking.charts]
    return [*drawn, *(chart if len(runs) == 1 else of_run(run, chart) for run, chart in own)]


def of_run(run: Run, chart: Chart) -> Chart:
    """A chart that every run has for itself, with the run's name."""
    return chart._replace(key=f"{chart.key}-{run.name}", title=f"{chart.title}, {run.name}")


def file_names(charts: Sequence[Chart]) -> list[str]:
    """Of the charts' keys, with a number behind each that a chart before it has."""
    names: list[str] = []
    for chart in charts:
        name = re.sub(r"[^a-z0-9]+", "-", chart.key.lower())
        numbered = (name, *(f"{name}-{number}" for number in range(2, len(charts) + 1)))
        names.append(next(free for free in numbered if free not in names))
    return names


def standalone(chart: Chart, style: str) -> str:
    """The chart between its title and its legend, with the rules of the page that it needs."""
    inner = draw(chart).replace("<svg ", f'<svg y="{HEAD}" width="{WIDTH}" height="{HEIGHT}" ', 1)
    rows = rows_of(entries(chart))
    height = HEAD + HEIGHT + ROW * len(rows) + 6
    title = f'<text class="title" x="{LEFT}" y="16">{escape(chart.title)}</text>'
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">'
        f"<style>{FONT}{style}</style>{title}{inner}{legend(rows)}</svg>\n"
    )


def legend(rows: Sequence[Sequence[Entry]]) -> str:
    """Below the chart, in columns of equal width."""
    parts, width = [], (WIDTH - LEFT) / max(map(len, rows), default=1)
    for row, found in enumerate(rows):
        y = HEAD + HEIGHT + ROW * row + 9
        for column, (label, colour) in enumerate(found):
            x = LEFT + width * column
            parts.append(f'<path class="line c{colour % COLOURS}" d="M{x:g} {y}h22"/>')
            parts.append(text(x + 27, y + 4, label, "start"))
    return "".join(parts)


def light_colours() -> dict[str, str]:
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--(\w+): (#\w+);", css.partition("@media")[0]))


def light_strokes(colours: dict[str, str]) -> list[Stroke]:
    """How the page draws the lines of each colour; dashes in pixels."""
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    dashes = dict(re.findall(r"\.(c\d) { stroke: [^;]*; stroke-dasharray: ([\d ]+);", css))
    names = [f"c{number}" for number in range(COLOURS)]
    return [Stroke(colours[name], tuple(map(float, dashes.get(name, "").split()))) for name in names]


def light_style(colours: dict[str, str]) -> str:
    """The page's rules for charts, with its light colours put in."""
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    rules = re.findall(r"^(?:\.chart text|\.(?:grid|axis|rule|line|faint|whisker|dot|band|c\d)\b).*", css, flags=re.M)
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], "".join(rules))
