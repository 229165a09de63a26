"""`rltk compare`: from a recipe, or the folder of a comparison, to a verdict on what LoRA cost."""

from __future__ import annotations

import json
import math
import sys
import time
from argparse import Namespace
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from rltk.compare.conclusion import COSTS, conclude
from rltk.compare.crew import default_jobs, open_crew
from rltk.compare.forecast import forecast
from rltk.compare.margin import fix, look_again
from rltk.compare.plan import (
    PLAN,
    Comparison,
    Planned,
    begin,
    check_comparable,
    default_folder,
    read_plan,
    refuse_change,
)
from rltk.compare.runner import Runner, Share
from rltk.compare.survey import Survey, survey
from rltk.compare.watch import Board
from rltk.errors import INTERRUPTED, UserError, tell
from rltk.recipe.load import load_recipe
from rltk.run.lock import is_taken


class Asked(NamedTuple):
    comparison: Comparison
    seeds: int | None
    """Confirmation seeds that the recipe now asks for; None where a folder goes on as it was begun."""
    notes: tuple[str, ...] = ()


class Made(NamedTuple):
    found: Survey
    is_interrupted: bool


def compare(args: Namespace) -> int:
    asked = find(args)
    if not args.quiet:
        for note in asked.notes:
            print(note, file=sys.stderr, flush=True)
    if args.dry_run:
        if args.on:
            raise UserError(f"--dry-run measures this machine, and --on {args.on} is another; leave one of them out.")
        forecast(asked.comparison, jobs=args.jobs or default_jobs(), is_json=args.json, is_quiet=args.quiet)
        return 0
    begin(asked.comparison)
    with Board(asked.comparison, is_quiet=args.quiet) as board:
        made = make_all(asked, board, args)
    if not made.found.is_complete:
        return unfinished(asked.comparison, made, args)
    show(asked.comparison, is_json=args.json)
    write_page(asked.comparison, is_quiet=args.quiet)
    return 0


def find(args: Namespace) -> Asked:
    """The comparison that is meant, with all that can be wrong with it found before anything runs."""
    if (Path(args.recipe) / PLAN).is_file():
        return resumed(args)
    loaded = load_recipe(args.recipe, args.overrides, args.profile)
    path = Path(args.out) if args.out else default_folder(loaded.recipe)
    comparison = Comparison(path, loaded.recipe)
    check_comparable(comparison)
    if (path / PLAN).exists():
        refuse_change(read_plan(path), comparison)
    elif is_taken(path):
        raise UserError(f"{path} exists and holds no comparison; name another folder with --out.")
    return Asked(comparison, loaded.recipe.compare.confirmation_seeds, loaded.notes)


def resumed(args: Namespace) -> Asked:
    """The comparison in a folder, as it was begun."""
    if args.overrides or args.out:
        given = args.overrides[0] if args.overrides else f"--out {args.out}"
        raise UserError(f"{given} goes with a recipe; the comparison in {args.recipe} goes on as it was begun.")
    return Asked(read_plan(Path(args.recipe)), None)


def make_all(asked: Asked, board: Board, args: Namespace) -> Made:
    """Phase after phase, until all runs are there or something stops them."""
    deadline = math.inf if args.budget is None else time.monotonic() + args.budget
    share = Share(*(args.part or (1, 1)))
    found = settled(asked)
    mine = share.of_all(found.pending)
    if not mine or args.budget == 0:
        return Made(found, False)
    with open_crew(args.on, args.jobs, len(mine)) as crew:
        runner = Runner(asked.comparison, crew, board, deadline)
        while mine:
            board.begin(found)
            before, started = {run.id for run in found.pending}, runner.make(mine)
            found = settled(asked)
            # Another process may have made all there was to make, and then there is a next phase.
            is_stuck = not started and before == {run.id for run in found.pending}
            if runner.is_stopping or is_stuck:
                break
            mine = share.of_all(found.pending)
    return Made(found, runner.interrupts > 0)


def settled(asked: Asked) -> Survey:
    """What there is; the margin is fixed as soon as the sweep is complete, and another look taken where asked for."""
    found = survey(asked.comparison)
    if found.fixed is None and found.tuning.is_complete:
        fix(asked.comparison, found.tuning)
        return survey(asked.comparison)
    if found.fixed is not None and asked.seeds is not None:
        look_again(asked.comparison, found.fixed, asked.seeds)
        return survey(asked.comparison)
    return found


def unfinished(comparison: Comparison, made: Made, args: Namespace) -> int:
    """Says what is missing and how to go on."""
    command = f"rltk compare {quote(str(comparison.path))}"
    pending = made.found.pending
    what = f"{len(pending)} runs of this phase are missing, the next one the {pending[0]}"
    later = "" if made.found.fixed is not None else "; then the confirmation runs"
    print(f"rltk: not finished: {what}{later}; go on with: {command}", file=sys.stderr)
    if args.json:
        missing = [as_json(comparison, run) for run in pending]
        status = "interrupted" if made.is_interrupted else "unfinished"
        print(json.dumps({"comparison": str(comparison.path), "status": status, "missing": missing, "resume": command}))
    return INTERRUPTED if made.is_interrupted else 0


def as_json(comparison: Comparison, run: Planned) -> dict[str, object]:
    return {
        "phase": run.phase,
        "arm": run.arm,
        "lr": run.lr,
        "seed": run.seed,
        "path": str(comparison.folder(run)),
    }


def write_page(comparison: Comparison, *, is_quiet: bool) -> None:
    """A page to look at. The verdict stands without it, so a failure to write it is said and fails nothing."""
    from rltk.report.page import report_comparison  # only now: nothing else here needs templates

    try:
        page = report_comparison(comparison.path)
        if not is_quiet:
            tell(f"look at it: {page}")
    except UserError as error:
        tell(f"no report was written ({error}); try again with: rltk report {quote(str(comparison.path))}")


def show(comparison: Comparison, *, is_json: bool) -> None:
    """Makes comparison.json from the run folders and shows it."""
    from rltk.compare.tables import show_conclusion

    answer = concluded(comparison)
    if is_json:
        print(json.dumps(answer))
    else:
        show_conclusion(answer, answer["costs"])


def concluded(comparison: Comparison) -> dict[str, Any]:
    """What a program is told of a finished comparison; comparison.json is made from the run folders."""
    found = conclude(comparison)
    spent = json.loads((comparison.path / COSTS).read_text(encoding="utf-8"))
    return {"comparison": str(comparison.path), "status": "finished", **found, "costs": spent}
