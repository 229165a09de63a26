"""Charts as SVG files of their own, with the colours of a light page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from rltk.report import curves, verdict
from rltk.report.chart import Chart, draw
from rltk.report.page import TEMPLATES, runs_under
from rltk.report.ranking import rankings
from rltk.report.read import is_comparison, read_comparison, read_run
from rltk.run.atomic import write_text

FONT = "svg.chart{font-family:system-ui,sans-serif;background:#fff}"


def write_figures(paths: list[Path], folder: Path) -> list[Path]:
    """One file a chart of the page that these runs, or this comparison, would have."""
    return [write_figure(chart, folder) for chart in charts_of(paths)]


def charts_of(paths: list[Path]) -> Iterable[Chart]:
    if is_comparison(paths[0]):
        comparison = read_comparison(paths[0])
        runs = runs_under(paths[0] / "confirmation")
        return verdict.charts(comparison, runs)
    runs = [read_run(path, with_items=False) for path in paths]
    drawn = [chart for charts in curves.charts(runs).values() for chart in charts]
    return [*drawn, *(chart for run in runs for ranking in rankings(run) for chart in ranking.charts)]


def write_figure(chart: Chart, folder: Path) -> Path:
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', chart.key.lower())}.svg"
    opening, rest = draw(chart).split(">", 1)
    title = f"<style>{FONT}{light_style()}</style>"
    write_text(path, f'{opening} xmlns="http://www.w3.org/2000/svg">{title}{rest}\n')
    return path


def light_style() -> str:
    """The page's rules for charts, with its light colours put in."""
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#\w+);", css.partition("@media")[0]))
    rules = re.findall(r"^(?:\.chart text|\.(?:grid|axis|rule|line|faint|whisker|dot|c\d)\b).*", css, flags=re.M)
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], "".join(rules))
