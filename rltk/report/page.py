"""The page itself: templates filled with what the other modules found. It needs no network and no other file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rltk import __version__
from rltk.errors import UserError
from rltk.report import curves, evidence, items, verdict
from rltk.report.chart import Chart, draw
from rltk.report.embed import embed
from rltk.report.facts import facts, paired_rows, recipe_text, score_rows
from rltk.report.ranking import rankings
from rltk.report.read import Comparison, Run, read_comparison, read_run
from rltk.report.setting import comparison_recipe, setting
from rltk.report.table import run_row
from rltk.run.atomic import place_beside, write_text

REPORT = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


def report_run(path: Path, out: Path | None = None) -> Path:
    """Writes the page of one run, into its folder unless told otherwise; where it lies."""
    run = read_run(path)
    page = render_run(run)
    return put(page, out or path / REPORT)


def report_runs(paths: Sequence[Path], out: Path) -> Path:
    """Writes one page with the curves of several runs laid over each other."""
    return put(render_runs([read_run(path, with_items=False) for path in paths], out.parent), out)


def report_comparison(path: Path, out: Path | None = None) -> Path:
    comparison = read_comparison(path)
    phases = {phase: runs_under(path / phase) for phase in ("tuning", "confirmation")}
    out = out or path / REPORT
    return put(render_comparison(comparison, phases, out.parent), out)


def put(page: str, out: Path) -> Path:
    try:
        write_text(out, page)
    except OSError as error:
        place_beside(out).unlink(missing_ok=True)
        raise UserError(f"{out} cannot be written: {error.strerror}.") from error
    return out


def render_run(run: Run) -> str:
    found = items.entries(run)
    return render(
        "run.html",
        title=run.name,
        facts=facts(run),
        recipe=recipe_text(run),
        scores=score_rows(run),
        paired=paired_rows(run),
        sections=curves.charts([run]),
        silent=curves.silent([run]),
        rankings=rankings(run),
        items=embed(found),
        counts=items.counts(found),
        has_answers=any("answer" in side for entry in found for side in (entry["before"], entry["after"]) if side),
        unshown=items.unshown(run),
    )


def render_runs(runs: Sequence[Run], home: Path) -> str:
    return render(
        "runs.html",
        title=f"{len(runs)} runs",
        names=[run.name for run in runs],
        rows=[run_row(run.path, run.manifest, run.metrics, run.scores) for run in runs],
        link=partial(link, home),
        sections=curves.charts(runs),
        silent=curves.silent(runs),
    )


def render_comparison(comparison: Comparison, phases: dict[str, list[Run]], home: Path) -> str:
    found = comparison.found
    return render(
        "comparison.html",
        title=f"Comparison {found.get('name', comparison.path.name)}",
        found=found,
        scale=evidence.scale_of(found),
        score_name=evidence.score_name(found),
        arms=verdict.arms(comparison),
        names=list(found["arms"]),
        charts=evidence.charts(comparison, phases["confirmation"]),
        optima=verdict.optima(comparison),
        costs=verdict.costs(comparison),
        setting=setting(comparison, phases["confirmation"]),
        recipe=comparison_recipe(comparison),
        changes=verdict.changes(comparison, phases["confirmation"]),
        rows={
            phase: [run_row(run.path, run.manifest, run.metrics, run.scores) for run in runs]
            for phase, runs in phases.items()
        },
        link=partial(link, home),
    )


def runs_under(folder: Path) -> list[Run]:
    """The runs of one phase; folders that hold none, or a damaged one, are passed over."""
    found: list[Run] = []
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            found.append(read_run(path.parent, with_items=False))
        except UserError:
            continue
    return found


def render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values, version=__version__)


def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["draw"] = drawn
    return made


def drawn(chart: Chart) -> Markup:
    return Markup(draw(chart))  # its texts are escaped where they are put in


def link(home: Path, path: Path) -> str:
    """A run's folder as seen from the folder of the page."""
    return Path(os.path.relpath(path, home)).as_posix()
