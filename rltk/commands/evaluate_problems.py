"""`rltk eval` of a policy: how many problems it solves, alone or against another one."""

from argparse import Namespace
from collections.abc import Sequence
from functools import partial

from rltk.commands.sides import LABELS, conclude
from rltk.commands.watched import watched
from rltk.errors import UserError
from rltk.evaluation.compare import compare_rows
from rltk.evaluation.earlier import Earlier
from rltk.evaluation.items import score_rows
from rltk.evaluation.plan import Live, Plan, already_made, make_plan
from rltk.evaluation.results import Comparison, Measured


def evaluate_problems(args: Namespace) -> int:
    if args.data_dir is not None:
        raise UserError(f"--data-dir is for preference pairs, which need a reward model; {args.target} is none.")
    return conclude(args, make_plan(args), measure_all, compare_rows, partial(show, by=args.by or ()))


def measure_all(plan: Plan, is_quiet: bool) -> list[Measured]:
    """Scores and rows of both sides, one model after the other, so that only one is in memory."""
    sides = [(already_made(side) or side) if isinstance(side, Live) else side for side in plan.sides]
    if all(isinstance(side, Earlier) for side in sides):
        return [recall(side, plan) for side in sides if isinstance(side, Earlier)]
    with watched(is_quiet=is_quiet) as watch:
        from rltk.evaluation.measure import measure

        measured = list[Measured]()
        for side, label in zip(sides, LABELS[len(sides)], strict=True):
            if isinstance(side, Earlier):
                measured.append(recall(side, plan))
                continue
            made = measure(side, watch, k=plan.k, label=label)
            measured.append(Measured({t: e.score for t, e in made.items()}, {t: e.rows for t, e in made.items()}))
        return measured


def recall(side: Earlier, plan: Plan) -> Measured:
    """What an earlier evaluation comes to, counted anew from its rows."""
    rows = {task: side.rows[task] for task in plan.tasks}
    temperature = side.settings.get("temperature")
    scores = {task: score_rows(rows[task], side.prompt(task), temperature=temperature, k=plan.k) for task in plan.tasks}
    return Measured(scores, rows)


def show(plan: Plan, measured: list[Measured], comparison: Comparison | None, *, by: Sequence[str]) -> None:
    from rltk.evaluation.tables import show_comparison, show_scores

    for side, found in zip(plan.sides, measured, strict=True):
        show_scores(side.name, found.scores, by)
    if comparison is not None:
        names = (plan.sides[0].name, plan.sides[1].name)
        show_comparison(comparison, names, [found.scores for found in measured])
