"""`rltk eval` of a policy: how many problems it solves, alone or against another one."""

from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rltk.errors import UserError
from rltk.evaluation.compare import compare_rows
from rltk.evaluation.earlier import Earlier
from rltk.evaluation.items import score_rows
from rltk.evaluation.plan import Live, Plan, already_made, make_plan
from rltk.evaluation.results import Measured, print_json, write_results
from rltk.run.lock import locked


def evaluate_problems(args: Namespace) -> int:
    """KeyboardInterrupt passes: the rows so far are kept where `--out` says."""
    if args.data_dir is not None:
        raise UserError(f"--data-dir is for preference pairs, which need a reward model; {args.target} is none.")
    plan = make_plan(args)
    with locked(Path(args.out), is_new=False) if args.out else nullcontext():
        measured = measure_all(plan, is_quiet=args.json or args.quiet)
        comparison = compare_all(plan, measured)
        if args.out:
            write_results(Path(args.out), plan.sides, measured, comparison)
    report(plan, measured, comparison, args)
    return 0


def measure_all(plan: Plan, *, is_quiet: bool) -> list[Measured]:
    """Scores and rows of both sides, one model after the other, so that only one is in memory."""
    sides = [(already_made(side) or side) if isinstance(side, Live) else side for side in plan.sides]
    if all(isinstance(side, Earlier) for side in sides):
        return [recall(side, plan) for side in sides if isinstance(side, Earlier)]
    # Only now: what is mistyped is answered in a fraction of the time that torch takes to import.
    from rltk.evaluation.measure import measure
    from rltk.models.quiet import quiet_libraries
    from rltk.run.interrupt import Stop
    from rltk.run.progress import Watch

    quiet_libraries()
    watch, measured = Watch(steps=0, is_quiet=is_quiet), list[Measured]()
    with watch, Stop(watch.say).listening():
        for side, label in zip(sides, ("",) if len(sides) == 1 else ("A: ", "B: "), strict=True):
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


def compare_all(plan: Plan, measured: list[Measured]) -> dict[str, Any] | None:
    if len(measured) == 1:
        return None
    a, b = measured
    return {task: compare_rows(a.rows[task], b.rows[task]) for task in plan.tasks}


def report(plan: Plan, measured: list[Measured], comparison: dict[str, Any] | None, args: Namespace) -> None:
    if args.json:
        print_json(args, measured, comparison)
        return
    from rltk.evaluation.tables import show_comparison, show_scores

    for side, found in zip(plan.sides, measured, strict=True):
        show_scores(side.name, found.scores, args.by or ())
    if comparison is not None:
        names = (plan.sides[0].name, plan.sides[1].name)
        show_comparison(comparison, names, [found.scores for found in measured])
