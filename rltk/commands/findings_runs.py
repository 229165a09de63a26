"""The comparisons that `rltk findings` reads, and the runs of those that are not there yet."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from rltk.arguments.comparison import compare_arguments
from rltk.commands.compare import compare
from rltk.compare.catalogue import ComparisonOf, Finding, Profile, Reanalysis
from rltk.compare.evidence import Evidence, read_evidence
from rltk.compare.wanted import Wanted, wanted
from rltk.errors import UserError
from rltk.recipe.load import NONE


def evidence_of(
    finding: Finding, catalogue: dict[str, Finding], profile: Profile, args: argparse.Namespace
) -> list[Evidence] | int:
    """The finding's comparisons; those not finished are made, or else an exit status. With --dry-run there are none."""
    if args.sources:
        if args.dry_run:
            raise UserError("--dry-run goes without --from, which names comparisons that are there.")
        return [read_evidence(Path(source)) for source in args.sources]
    match finding.experiment:
        case ComparisonOf() as experiment:
            asked = wanted(finding.id, experiment, profile)
            return (forecast if args.dry_run else made)(asked, profile, args)
        case Reanalysis(of=other):
            experiment = catalogue[other].experiment
            assert isinstance(experiment, ComparisonOf)
            found = [finished(one) for one in wanted(other, experiment, profile)]
            if None in found:
                raise UserError(f"{finding.id} is read from the runs that measure {other}; measure {other} first.")
            return [one for one in found if one is not None]
        case _:
            raise AssertionError("other findings have no comparisons")


def finished(one: Wanted) -> Evidence | None:
    return finished_in(one.comparison.path) if one.is_begun else None


def finished_in(path: Path) -> Evidence | None:
    evidence = read_evidence(path)
    return evidence if evidence.found.is_complete else None


def made(asked: list[Wanted], profile: Profile, args: argparse.Namespace) -> list[Evidence] | int:
    """Makes the runs that are missing, one comparison after the other; or the status of one that did not end."""
    found: list[Evidence] = []
    for one in asked:
        evidence = finished(one)
        if evidence is None:
            # What a comparison says on the standard output is not the answer that was asked for.
            with redirect_stdout(sys.stderr) if args.json else nullcontext():
                if status := compare(compare_args(one, profile, args)):
                    return status
            evidence = finished_in(one.comparison.path)
        if evidence is None:
            return UNFINISHED
        found.append(evidence)
    return found


def forecast(asked: list[Wanted], profile: Profile, args: argparse.Namespace) -> list[Evidence] | int:
    """Lists the runs; there is nothing to be read from them."""
    for one in asked:
        if status := compare(compare_args(one, profile, args)):
            return status
    return []


UNFINISHED = 3
"""Exit status where the time ran out; what to go on with has been said."""


def compare_args(one: Wanted, profile: Profile, args: argparse.Namespace) -> argparse.Namespace:
    """As `rltk compare` would have been called."""
    parser = argparse.ArgumentParser()
    compare_arguments(parser)
    name = profile if profile == "laptop" else NONE
    argv = [one.recipe, *one.overrides, "--profile", name, "--out", str(one.comparison.path)]
    found = parser.parse_args(argv)
    found.jobs, found.budget, found.dry_run, found.quiet = args.jobs, args.budget, args.dry_run, args.json or args.quiet
    found.json = args.json and args.dry_run
    return found
