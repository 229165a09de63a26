"""`rltk findings`: what the literature says of LoRA against full fine-tuning, and what it comes to here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rltk.compare.catalogue import Finding, Function, Profile, Reanalysis, choose, load_catalogue
from rltk.compare.results import PUBLISHED, read_result, write_result
from rltk.errors import UserError
from rltk.recipe.accelerator import is_accelerator_visible


def findings(args: argparse.Namespace) -> int:
    """Measures the chosen findings; lists them where none is chosen, and tells results with --status."""
    if args.markdown and not args.status:
        raise UserError("--markdown is a page of what --status tells; add --status, or leave it out.")
    catalogue = load_catalogue()
    chosen = choose(args.ids, args.tier, catalogue)
    if args.status or not chosen:
        shown = chosen or list(catalogue.values())
        tell_rows([told(finding, Path(args.out)) for finding in shown], args)
        return 0
    profile: Profile = "gpu" if is_accelerator_visible() else "laptop"
    for finding in chosen:
        refuse_unmeasurable(finding, profile, args.sources)
    results: list[dict[str, Any]] = []
    for finding in chosen:
        result = measured(finding, catalogue, profile, args)
        if isinstance(result, int):
            return result
        if result is not None:
            results.append(result)
    if args.json and not args.dry_run:
        print(json.dumps(results, indent=2))
    return 0 if all(result["verdict"] != "not reproduced" for result in results) or not args.strict else 1


def told(finding: Finding, folder: Path) -> dict[str, Any]:
    """The finding with its result here, and the published one."""
    entry = finding.model_dump(mode="json")
    return entry | {"here": read_result(folder, finding.id), "published": read_result(PUBLISHED, finding.id)}


def tell_rows(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(rows, indent=2))
        return
    from rltk.compare.findings_tables import markdown, show_catalogue, show_status

    if args.markdown:
        print(markdown(rows))
    elif args.status:
        show_status(rows)
    else:
        show_catalogue(rows)


def refuse_unmeasurable(finding: Finding, profile: Profile, sources: Sequence[str]) -> None:
    """Says what is missing, before anything slow; runs from elsewhere that are named (`sources`) can be read here."""
    match finding.experiment:
        case Reanalysis(not_on_laptop=str(reason)) if profile == "laptop" and not sources:
            raise UserError(f"{finding.id} cannot be measured on a laptop: {reason}.")
        case _:
            return


def measured(
    finding: Finding, catalogue: dict[str, Finding], profile: Profile, args: argparse.Namespace
) -> dict[str, Any] | int | None:
    """The result, which is written too; None where only a forecast was asked for, and a status where it was stopped."""
    if isinstance(finding.experiment, Function):
        if args.dry_run:
            print(f"{finding.id} makes no runs: it is measured by a function, which takes seconds to minutes")
            return None
        from rltk.compare.measure import measure
        from rltk.models.quiet import quiet_libraries

        quiet_libraries()
        result = measure(finding, profile, args.sources)
    else:
        from rltk.commands.findings_runs import evidence_of
        from rltk.compare.reread import reread

        evidence = evidence_of(finding, catalogue, profile, args)
        if isinstance(evidence, int) or args.dry_run:
            return evidence if isinstance(evidence, int) else None
        result = reread(finding, evidence, profile, args.sources)
    path = write_result(Path(args.out), finding.id, result)
    if not args.json:
        print(f"{finding.id}: {result['verdict']}: {result['summary']} (documented: {finding.reference}); {path}")
    return {"finding": finding.id} | result
