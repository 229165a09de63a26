"""What `rltk eval A --against B --judge REWARD_MODEL` is about to do, decided before torch is imported."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.data.tasks import load_tasks
from rltk.data.templates import Template, find_template, recipe_template
from rltk.errors import UserError
from rltk.evaluation.duel.prompts import PromptTask, asks_conversations, of_pairs, of_problems
from rltk.evaluation.folder import check_settings, chosen_folder
from rltk.evaluation.pairs.target import RewardTarget, find_reward_model, is_reward_model
from rltk.evaluation.pairs.tasks import Reading, load_pair_tasks, refuse_namesakes
from rltk.evaluation.plan import READING, with_options
from rltk.evaluation.settings import Settings, folders_hash, made_with, policy_settings
from rltk.evaluation.target import Target, find_target

MEASURES = "duel"
NAMES = ("a", "b")


class Fighter(NamedTuple):
    """A policy."""

    name: str
    target: Target
    template: Template | None
    """How its recipe asks problems; None where it has none, or another was asked for: then as the task says."""


class DuelPlan(NamedTuple):
    fighters: list[Fighter]
    judge: RewardTarget
    judge_template: Template
    tasks: list[PromptTask]
    settings: Settings
    folder: Path | None


def make_duel_plan(args: Namespace) -> DuelPlan:
    if args.against is None:
        raise UserError(
            f"--judge compares two policies; name the other with --against, or evaluate {args.judge} itself."
        )
    for name in (args.target, args.against):
        if is_reward_model(name):
            raise UserError(f"{name} is a reward model; with --judge two policies are compared.")
    for option, is_given in (("--k", args.k), ("--by", args.by)):
        if is_given:
            raise UserError(f"{option} is about right answers, and a judge gives scores; leave it out.")
    folder = chosen_folder(args)
    judge = find_reward_model(args.judge)
    targets = with_options([find_target(name) for name in (args.target, args.against)], args)
    fighters = [
        Fighter(name, target, template_of(target, args.prompt))
        for name, target in zip((args.target, args.against), targets, strict=True)
    ]
    plan = DuelPlan(fighters, judge, template_of_judge(judge), prompt_tasks(targets, args), {}, None)
    plan = plan._replace(settings=duel_settings(plan), folder=folder)
    if plan.folder is not None:
        check_settings(plan.folder, plan.settings)
    return plan


def template_of(target: Target, prompt: str | None) -> Template | None:
    return None if prompt is not None or target.data is None else recipe_template(target.data)


def template_of_judge(judge: RewardTarget) -> Template:
    """A reward model reads questions as in training; one that is no run reads them as they stand."""
    return find_template("plain@1") if judge.recipe is None else recipe_template(judge.recipe.data)


def prompt_tasks(targets: Sequence[Target], args: Namespace) -> list[PromptTask]:
    options, data = targets[0].eval, next((t.data for t in targets if t.data is not None), None)
    reading = {name: getattr(args, name) for name in READING if getattr(args, name) is not None}
    tasks: list[PromptTask] = []
    for name in options.tasks:
        if asks_conversations(name, data):
            wanted = Reading(data, options.split, None, options.data_root, args.data_dir)
            [found] = load_pair_tasks([name], wanted)
            tasks.append(of_pairs(found.name, found.pairs, options.limit))
        else:
            [task] = load_tasks(
                [name],
                data,
                split=options.split,
                limit=options.limit,
                root=options.data_root,
                reading=reading,
                prompt=args.prompt,
            )
            tasks.append(of_problems(task))
    refuse_namesakes([task.name for task in tasks])
    return tasks


def duel_settings(plan: DuelPlan) -> Settings:
    return {
        "measures": MEASURES,
        **{
            name: {
                "name": fighter.name,
                "prompt": None if fighter.template is None else fighter.template.to_json(),
                **policy_settings(fighter.target),
            }
            for name, fighter in zip(NAMES, plan.fighters, strict=True)
        },
        "judge": {
            "model": str(plan.judge.folder),
            "weights": folders_hash([plan.judge.folder]),
            "prompt": plan.judge_template.to_json(),
        },
        "tasks": {
            task.name: {"prompts": len(task.problems), "hash": task.hash, "prompt": task.template.to_json()}
            for task in plan.tasks
        },
        **made_with(),
    }
