"""The comparisons that `rltk findings` reads, and the runs of those that are not there yet."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from rltk.arguments.comparison import compare_arguments
from rltk.commands.compare import compare
from rltk.compare.catalogue import ComparisonOf, Finding, Profile, Reanalysis
from rltk.compare.reread import read_evidence
from rltk.compare.wanted import Wanted, wanted
from rltk.errors import UserError
from rltk.recipe.load import NONE


def folders_of(
    finding: Finding, catalogue: dict[str, Finding], profile: Profile, args: argparse.Namespace
) -> list[Path] | int:
    """Folders of the finding's comparisons; those not finished are made, or forecast, or else an exit status."""
    if args.sources:
        if args.dry_run:
            raise UserError("--dry-run goes without --from, which names comparisons that are there.")
        return [Path(source) for source in args.sources]
    match finding.experiment:
        case ComparisonOf() as experiment:
            asked = wanted(finding.id, experiment, profile)
            return made(experiment, asked, profile, args) or [one.comparison.path for one in asked]
        case Reanalysis(of=other):
            experiment = catalogue[other].experiment
            if not isinstance(experiment, ComparisonOf):
                raise UserError(f"{finding.id} is read from the runs that measure {other}, which cannot be made here.")
            asked = wanted(other, experiment, profile)
            if not all(is_finished(one) for one in asked):
                raise UserError(f"{finding.id} is read from the runs that measure {other}; measure {other} first.")
            return [one.comparison.path for one in asked]
        case _:
            raise AssertionError("other findings have no comparisons")


def is_finished(one: Wanted) -> bool:
    return one.is_begun and read_evidence(one.comparison.path).found.is_complete


def made(experiment: ComparisonOf, asked: list[Wanted], profile: Profile, args: argparse.Namespace) -> int:
    """Makes the runs that are missing, one comparison after the other; 0, or the status of one that did not end."""
    for one in asked:
        if args.dry_run or not is_finished(one):
            # What a comparison says on the standard output is not the answer that was asked for.
            with redirect_stdout(sys.stderr) if args.json and not args.dry_run else nullcontext():
                status = compare(compare_args(experiment, one, profile, args))
            if status or not (args.dry_run or is_there(one)):
                return status or UNFINISHED
    return 0


UNFINISHED = 3
"""Exit status where the time ran out; what to go on with has been said."""


def is_there(one: Wanted) -> bool:
    return read_evidence(one.comparison.path).found.is_complete


def compare_args(
    experiment: ComparisonOf, one: Wanted, profile: Profile, args: argparse.Namespace
) -> argparse.Namespace:
    """As `rltk compare` would have been called."""
    parser = argparse.ArgumentParser()
    compare_arguments(parser)
    name = profile if profile == "laptop" else NONE
    argv = [experiment.recipe, *one.overrides, "--profile", name, "--out", str(one.comparison.path)]
    found = parser.parse_args(argv)
    found.jobs, found.budget, found.dry_run, found.quiet = args.jobs, args.budget, args.dry_run, args.json
    found.json = args.json and args.dry_run
    return found
