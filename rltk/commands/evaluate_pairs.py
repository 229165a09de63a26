"""`rltk eval` of a reward model: how often it agrees with preferences, alone or against another one."""

import json
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from rltk.evaluation.earlier import SCORES, SETTINGS, Earlier
from rltk.evaluation.items import Row
from rltk.evaluation.pairs.plan import PairPlan, Scoring, make_pair_plan
from rltk.run.atomic import without_nan, write_json
from rltk.run.lock import locked

COMPARISON = "comparison.json"


class Measured(NamedTuple):
    rows: dict[str, list[Row]]
    scores: dict[str, Any]


def evaluate_pairs(args: Namespace) -> int:
    """KeyboardInterrupt passes: the rows so far are kept where `--out` says."""
    plan = make_pair_plan(args)
    with locked(Path(args.out), is_new=False) if args.out else nullcontext():
        measured = measure_all(plan, is_quiet=args.json)
        comparison = compare_all(plan, measured)
        if args.out:
            write_results(Path(args.out), plan, measured, comparison)
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
            measured.append(Measured(rows, {task: summarize_pairs(rows[task]) for task in plan.tasks}))
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


def write_results(out: Path, plan: PairPlan, measured: list[Measured], comparison: dict[str, Any] | None) -> None:
    for side, found in zip(plan.sides, measured, strict=True):
        if isinstance(side, Scoring) and side.folder is not None:
            write_json(side.folder / SCORES, found.scores)
    if comparison is not None:
        write_json(out / COMPARISON, {"a": plan.sides[0].name, "b": plan.sides[1].name, "tasks": comparison})


def report(plan: PairPlan, measured: list[Measured], comparison: dict[str, Any] | None, args: Namespace) -> None:
    if args.json:
        answer: dict[str, Any] = {"target": args.target, "scores": measured[0].scores}
        if comparison is not None:
            answer |= {"against": args.against, "against_scores": measured[1].scores, "comparison": comparison}
        print(json.dumps(without_nan(answer)))
        return
    from rltk.evaluation.pairs.tables import show_pair_comparison, show_pair_scores

    for side, found in zip(plan.sides, measured, strict=True):
        show_pair_scores(side.name, found.scores)
    if comparison is not None:
        show_pair_comparison(comparison, [side.name for side in plan.sides], [found.scores for found in measured])
