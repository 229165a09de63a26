"""Charts as files of their own, SVG and PNG, each with its title and legend, in the colours of a light page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from rltk.report import curves, evidence
from rltk.report.chart import COLOURS, GREY, HEIGHT, LEFT, WIDTH, Chart, draw, text
from rltk.report.page import TEMPLATES, runs_under
from rltk.report.ranking import rankings
from rltk.report.raster import write_png
from rltk.report.read import is_comparison, read_comparison, read_run
from rltk.run.atomic import write_text

FONT = "svg.chart{font-family:system-ui,sans-serif;background:#fff}svg.chart .title{fill:#1c2430;font-size:13px}"
HEAD, ROW = 24, 17
"""Pixels of the title, and of a row of the legend."""
A_ROW = 4
"""Entries of the legend in a row."""


def write_figures(paths: list[Path], folder: Path) -> list[Path]:
    """Two files a chart of the page that these runs, or this comparison, would have."""
    colours = light_colours()
    style = light_style(colours)
    return [path for chart in charts_of(paths) for path in write_figure(chart, folder, colours, style)]


def charts_of(paths: list[Path]) -> Iterable[Chart]:
    if is_comparison(paths[0]):
        comparison = read_comparison(paths[0])
        runs = runs_under(paths[0] / "confirmation")
        return evidence.charts(comparison, runs)
    runs = [read_run(path, with_items=False) for path in paths]
    drawn = [chart for charts in curves.charts(runs).values() for chart in charts]
    return [*drawn, *(chart for run in runs for ranking in rankings(run) for chart in ranking.charts)]


def write_figure(chart: Chart, folder: Path, colours: dict[str, str], style: str) -> list[Path]:
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', chart.key.lower())}.svg"
    write_text(path, standalone(chart, style))
    picture = path.with_suffix(".png")
    write_png(chart, picture, [colours[f"c{number}"] for number in range(COLOURS)])
    return [path, picture]


def standalone(chart: Chart, style: str) -> str:
    """The chart between its title and its legend, with the rules of the page that it needs."""
    inner = draw(chart).replace("<svg ", f'<svg y="{HEAD}" width="{WIDTH}" height="{HEIGHT}" ', 1)
    entries = labels(chart)
    height = HEAD + HEIGHT + ROW * -(-len(entries) // A_ROW) + 6
    title = f'<text class="title" x="{LEFT}" y="16">{escape(chart.title)}</text>'
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">'
        f"<style>{FONT}{style}</style>{title}{inner}{''.join(legend(entries))}</svg>\n"
    )


def labels(chart: Chart) -> list[tuple[str, int]]:
    """What the legend explains: the lines that have a name, or the marks of a chart without."""
    lines = [(line.label, line.colour) for line in chart.lines if line.label and not line.is_faint]
    return lines or [(mark.label, mark.colour) for mark in chart.marks if mark.colour != GREY and not chart.x_labels]


def legend(entries: list[tuple[str, int]]) -> Iterator[str]:
    width = (WIDTH - LEFT) / A_ROW
    for number, (label, colour) in enumerate(entries):
        x, y = LEFT + width * (number % A_ROW), HEAD + HEIGHT + ROW * (number // A_ROW) + 9
        yield f'<path class="line c{colour % COLOURS}" d="M{x:g} {y}h22"/>' + text(x + 27, y + 4, label, "start")


def light_colours() -> dict[str, str]:
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--(\w+): (#\w+);", css.partition("@media")[0]))


def light_style(colours: dict[str, str]) -> str:
    """The page's rules for charts, with its light colours put in."""
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    rules = re.findall(r"^(?:\.chart text|\.(?:grid|axis|rule|line|faint|whisker|dot|band|c\d)\b).*", css, flags=re.M)
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], "".join(rules))
