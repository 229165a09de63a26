"""`rltk compare --dry-run`: the runs there will be, and how long they will take."""

from __future__ import annotations

import json

from rltk.compare.estimate import Pace, known_pace, measured_pace
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.survey import Survey, survey
from rltk.compare.tables import show_plan
from rltk.compare.watch import Board


def forecast(comparison: Comparison, *, jobs: int, is_json: bool, is_quiet: bool) -> None:
    """Prints it. Where no run is finished yet, one of two steps is made elsewhere to measure the pace."""
    found = survey(comparison)
    rows = [(run, found.outcomes[run.id].status) for run in found.runs]
    between = refinements_to_come(comparison, found.tuning.refinements)
    later = [] if found.fixed is not None else confirmation_to_come(comparison)
    pace = pace_for(comparison, found, is_quiet=is_quiet)
    left = [run for run, status in rows if status in ("absent", "unfinished")]
    seconds = sum(map(pace.seconds, [*left, *between, *later])) / jobs
    if not is_json:
        show_plan(rows, len(between), len(later), pace, jobs, seconds)
        return
    runs = [
        {"phase": run.phase, "arm": run.arm, "lr": run.lr, "seed": run.seed, "id": run.id, "status": status}
        for run, status in rows
    ]
    answer = {"comparison": str(comparison.path), "runs": runs, "between": len(between), "later": len(later)}
    print(json.dumps(answer | {"jobs": jobs, "seconds": seconds, "pace": pace._asdict()}))


def refinements_to_come(comparison: Comparison, rounds: int) -> list[Planned]:
    """Of every round and arm two rates, of which the arm's centre stands for those between rates yet to be found."""
    seeds = comparison.tuning_seeds()
    steps = {arm: comparison.steps(arm, 0) for arm in comparison.arms}
    one = [comparison.tuning_run(arm, 0, seed, count) for arm, count in steps.items() for seed in seeds]
    return 2 * rounds * one


def confirmation_to_come(comparison: Comparison) -> list[Planned]:
    """As many confirmation runs as there will be; the learning rates stand for those that the sweep has yet to find."""
    seeds = comparison.confirmation_seeds(comparison.recipe.compare.confirmation_seeds)
    arms = {arm: comparison.rate(arm, 0) for arm in comparison.arms}
    arms[CONTROL] = arms[comparison.control] / comparison.recipe.compare.control.divisor
    return [comparison.confirmation_run(arm, lr, seed) for seed in seeds for arm, lr in arms.items()]


def pace_for(comparison: Comparison, found: Survey, *, is_quiet: bool) -> Pace:
    known = known_pace(comparison, found.runs)
    if known is not None:
        return known
    board = Board(comparison, is_quiet=is_quiet)
    board.say("measuring a run of two steps")
    return measured_pace(comparison, found.runs[0])
