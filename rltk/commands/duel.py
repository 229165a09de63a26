"""`rltk eval A --against B --judge REWARD_MODEL`: how often A's completion scores higher than B's."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from rltk.commands.sides import kept
from rltk.commands.watched import watched
from rltk.errors import UserError
from rltk.evaluation.duel.plan import NAMES, DuelPlan, make_duel_plan
from rltk.evaluation.duel.prompts import PromptTask
from rltk.evaluation.earlier import ITEMS, SCORES, SETTINGS
from rltk.evaluation.items import Row
from rltk.run.atomic import without_nan, write_json

if TYPE_CHECKING:
    from rltk.run.progress import Watch

COMPLETIONS = "completions"
"""Folder of what each policy wrote: completions/a and completions/b."""


def duel(args: Namespace) -> int:
    """KeyboardInterrupt passes: what is done is kept where `--out` says."""
    plan = make_duel_plan(args)
    with kept(args):
        scores = run(plan, is_quiet=args.json or args.quiet)
        if plan.folder is not None:
            write_json(plan.folder / SCORES, scores)
    if args.json:
        answer = {"target": args.target, "against": args.against, "judge": args.judge, "scores": scores}
        print(json.dumps(without_nan(answer)))
        return 0
    from rltk.evaluation.duel.tables import show_duel

    show_duel(scores, (args.target, args.against), args.judge)
    return 0


def run(plan: DuelPlan, *, is_quiet: bool) -> dict[str, Any]:
    """One model is in memory at a time: A, B, then the judge."""
    with watched(is_quiet=is_quiet) as watch:
        from rltk.evaluation.duel.judge import judge, summarize_duel
        from rltk.evaluation.pairs.measure import load_scorer

        tasks = fitting(plan, watch)
        a, b = (complete_all(plan, side, tasks, watch) for side in range(2))
        scorer, scores = load_scorer(plan.judge), dict[str, Any]()
        for task in tasks:
            rows = judge(
                scorer,
                task,
                plan.judge_template,
                (a[task.name], b[task.name]),
                path=None if plan.folder is None else plan.folder / ITEMS / f"{task.name}.jsonl",
                report=lambda done, total, name=task.name: watch.evaluating(f"judge: {name}", done, total),
            )
            scores[task.name] = summarize_duel(rows)
    return scores


def fitting(plan: DuelPlan, watch: "Watch") -> list[PromptTask]:
    """The prompts that both policies have room for; how many are left out is said. Nothing is written before."""
    from rltk.evaluation.duel.complete import misfits
    from rltk.models.load import load_tokenizer

    tokenizers, tasks = [load_tokenizer(fighter.target.model) for fighter in plan.fighters], list[PromptTask]()
    for task in plan.tasks:
        found: dict[str, str] = {}
        for fighter, tokenizer in zip(plan.fighters, tokenizers, strict=True):
            found |= misfits(task, fighter, tokenizer)
        if len(found) == len(task.problems):
            raise UserError(f"{task.name} has no prompt that both policies have room for: {next(iter(found.values()))}")
        if found:
            first, reason = next(iter(found.items()))
            watch.say(
                f"{task.name}: {len(found)} of {len(task.problems)} prompts left out; the first, {first}, {reason}"
            )
        tasks.append(task._replace(problems=[prompt for prompt in task.problems if prompt.id not in found]))
    return tasks


def complete_all(plan: DuelPlan, side: int, tasks: list[PromptTask], watch: "Watch") -> dict[str, list[Row]]:
    from rltk.evaluation.duel.complete import complete
    from rltk.evaluation.measure import make_evaluator
    from rltk.models.load import load_tokenizer

    fighter = plan.fighters[side]
    evaluator = make_evaluator(fighter.target, load_tokenizer(fighter.target.model))
    if plan.folder is not None:  # only now, so that what is refused leaves nothing behind
        write_json(plan.folder / SETTINGS, plan.settings)
    return {
        task.name: complete(
            fighter,
            evaluator,
            task,
            path=None if plan.folder is None else plan.folder / COMPLETIONS / NAMES[side] / f"{task.name}.jsonl",
            report=lambda done, total, name=task.name: watch.evaluating(f"{'AB'[side]}: {name}", done, total),
        )
        for task in tasks
    }
