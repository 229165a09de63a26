"""`rltk eval` of a reward model: how often it agrees with preferences, alone or against another one."""

from argparse import Namespace
from typing import Any

from rltk.commands.sides import LABELS, conclude
from rltk.commands.watched import watched
from rltk.evaluation.earlier import SETTINGS, Earlier
from rltk.evaluation.items import Row
from rltk.evaluation.pairs.plan import PairPlan, Scoring, make_pair_plan
from rltk.evaluation.results import Comparison, Measured
from rltk.run.atomic import write_json


def evaluate_pairs(args: Namespace) -> int:
    return conclude(args, make_pair_plan(args), measure_all, compare, show)


def measure_all(plan: PairPlan, is_quiet: bool) -> list[Measured]:
    """One model is in memory at a time."""
    with watched(is_quiet=is_quiet) as watch:
        from rltk.evaluation.pairs.rows import summarize_pairs

        measured = list[Measured]()
        for side, label in zip(plan.sides, LABELS[len(plan.sides)], strict=True):
            rows = side.rows if isinstance(side, Earlier) else score_side(side, watch, label)
            measured.append(Measured({task: summarize_pairs(rows[task]) for task in plan.tasks}, rows))
        return measured


def score_side(side: Scoring, watch: Any, label: str) -> dict[str, list[Row]]:
    from rltk.evaluation.pairs.measure import load_scorer, score_task

    for task in side.tasks:
        for note in task.notes:
            watch.say(note)
    scorer = load_scorer(side.target)
    if side.folder is not None:  # only now, so that what is refused leaves nothing behind
        write_json(side.folder / SETTINGS, side.settings)
    return {
        task.name: score_task(
            scorer,
            task,
            plain=side.target.plain,
            items=side.items(task),
            report=lambda done, total, name=task.name: watch.evaluating(f"{label}{name}", done, total),
        )
        for task in side.tasks
    }


def compare(rows_a: list[Row], rows_b: list[Row]) -> dict[str, Any]:
    from rltk.evaluation.pairs.rows import compare_pairs

    return compare_pairs(rows_a, rows_b)


def show(plan: PairPlan, measured: list[Measured], comparison: Comparison | None) -> None:
    from rltk.evaluation.pairs.tables import show_pair_comparison, show_pair_scores

    for side, found in zip(plan.sides, measured, strict=True):
        show_pair_scores(side.name, found.scores)
    if comparison is not None:
        show_pair_comparison(comparison, [side.name for side in plan.sides], [found.scores for found in measured])
