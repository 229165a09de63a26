"""`rltk eval` of a reward model: how often it agrees with preferences, alone or against another one."""

from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rltk.evaluation.earlier import SETTINGS, Earlier
from rltk.evaluation.items import Row
from rltk.evaluation.pairs.plan import PairPlan, Scoring, make_pair_plan
from rltk.evaluation.results import Measured, print_json, write_results
from rltk.run.atomic import write_json
from rltk.run.lock import locked


def evaluate_pairs(args: Namespace) -> int:
    """KeyboardInterrupt passes: the rows so far are kept where `--out` says."""
    plan = make_pair_plan(args)
    with locked(Path(args.out), is_new=False) if args.out else nullcontext():
        measured = measure_all(plan, is_quiet=args.json or args.quiet)
        comparison = compare_all(plan, measured)
        if args.out:
            write_results(Path(args.out), plan.sides, measured, comparison)
    report(plan, measured, comparison, args)
    return 0


def measure_all(plan: PairPlan, *, is_quiet: bool) -> list[Measured]:
    """Only now is torch imported, and one model is in memory at a time."""
    from rltk.evaluation.pairs.rows import summarize_pairs
    from rltk.models.quiet import quiet_libraries
    from rltk.run.interrupt import Stop
    from rltk.run.progress import Watch

    quiet_libraries()
    watch, measured = Watch(steps=0, is_quiet=is_quiet), list[Measured]()
    with watch, Stop(watch.say).listening():
        for side, label in zip(plan.sides, ("",) if len(plan.sides) == 1 else ("A: ", "B: "), strict=True):
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


def compare_all(plan: PairPlan, measured: list[Measured]) -> dict[str, Any] | None:
    from rltk.evaluation.pairs.rows import compare_pairs

    if len(measured) == 1:
        return None
    a, b = measured
    return {task: compare_pairs(a.rows[task], b.rows[task]) for task in plan.tasks}


def report(plan: PairPlan, measured: list[Measured], comparison: dict[str, Any] | None, args: Namespace) -> None:
    if args.json:
        print_json(args, measured, comparison)
        return
    from rltk.evaluation.pairs.tables import show_pair_comparison, show_pair_scores

    for side, found in zip(plan.sides, measured, strict=True):
        show_pair_scores(side.name, found.scores)
    if comparison is not None:
        show_pair_comparison(comparison, [side.name for side in plan.sides], [found.scores for found in measured])
