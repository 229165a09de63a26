"""`rltk findings`: what the literature says of LoRA against full fine-tuning, and what it comes to here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from shlex import quote
from typing import Any

from rltk.compare.catalogue import (
    ComparisonOf,
    Finding,
    Function,
    Profile,
    Reanalysis,
    Unavailable,
    choose,
    load_catalogue,
)
from rltk.compare.results import PUBLISHED, read_result, write_result
from rltk.errors import UserError
from rltk.recipe.accelerator import is_accelerator_visible


def findings(args: argparse.Namespace) -> int:
    """Measures the chosen findings; lists them where none is chosen, and tells results with --status."""
    catalogue = load_catalogue()
    chosen = choose(args.ids, args.tier, catalogue)
    if args.status or not chosen:
        shown = chosen or list(catalogue.values())
        rows = [told(finding, Path(args.out)) for finding in shown]
        tell_rows(rows, as_json=args.json, with_results=args.status)
        return 0
    profile: Profile = "gpu" if is_accelerator_visible() else "laptop"
    for finding in chosen:
        refuse_unmeasurable(finding, profile)
    results = [measured(finding, profile, args) for finding in chosen]
    if args.json:
        print(json.dumps(results, indent=2))
    return 0 if all(result["verdict"] != "not reproduced" for result in results) or not args.strict else 1


def told(finding: Finding, folder: Path) -> dict[str, Any]:
    """The finding with its result here, and the published one."""
    entry = finding.model_dump(mode="json")
    return entry | {"here": read_result(folder, finding.id), "published": read_result(PUBLISHED, finding.id)}


def tell_rows(rows: list[dict[str, Any]], *, as_json: bool, with_results: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rltk.compare.findings_tables import show_catalogue, show_status

    (show_status if with_results else show_catalogue)(rows)


def refuse_unmeasurable(finding: Finding, profile: Profile) -> None:
    """Says what to do instead, before anything slow."""
    match finding.experiment:
        case Function():
            return
        case ComparisonOf(recipe=recipe):
            overrides = " ".join(map(quote, getattr(finding.experiment, profile)))
            raise UserError(
                f"{finding.id} takes a comparison of many runs; begin it with: rltk compare {recipe} {overrides}"
            )
        case Reanalysis(of=other):
            raise UserError(f"{finding.id} is read from the runs that measure {other}; measure {other} first.")
        case Unavailable(needs=needs):
            raise UserError(f"{finding.id} cannot be measured here: it needs {needs}.")


def measured(finding: Finding, profile: Profile, args: argparse.Namespace) -> dict[str, Any]:
    """Runs the experiment, and writes its result."""
    from rltk.compare.measure import measure

    result = measure(finding, profile)
    path = write_result(Path(args.out), finding.id, result)
    if not args.json:
        print(f"{finding.id}: {result['verdict']}: {result['summary']} (documented: {finding.reference}); {path}")
    return {"finding": finding.id} | result
