"""What `rltk eval` is about to do, decided from its command line and from files, before anything heavy is imported."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.data.tasks import Task, ask, load_tasks
from rltk.data.templates import recipe_template
from rltk.errors import UserError, suggestion
from rltk.evaluation.blocks import count_whole, make_blocks
from rltk.evaluation.compare import Golds, golds_of, refuse_other_items, refuse_other_settings
from rltk.evaluation.earlier import ITEMS, Earlier, find_earlier
from rltk.evaluation.folder import AGAINST, check_settings, chosen_folder
from rltk.evaluation.items import Items, Row
from rltk.evaluation.settings import Settings, settings_of
from rltk.evaluation.target import Target, find_target
from rltk.recipe.schema import EVAL_BLOCK, EVAL_TASKS, LOSS

READING = ("question", "answer", "kind")
"""Options that say how a task given by path is read."""
OF_EVALUATION = (
    *("prompt", "data_root", *READING, "split", "limit", "samples", "temperature"),
    *("max_new_tokens", "batch", "seed", "out", "resume"),
)
"""Options without effect on what was evaluated before."""


class Live(NamedTuple):
    """An evaluation to make."""

    name: str
    target: Target
    tasks: list[Task]
    settings: Settings
    folder: Path | None


Side = Live | Earlier


class Plan(NamedTuple):
    sides: list[Side]
    """What is evaluated, and what it is compared with, if anything."""
    tasks: list[str]
    k: tuple[int, ...]


def make_plan(args: Namespace) -> Plan:
    out = chosen_folder(args)
    names = [name for name in (args.target, args.against) if name is not None]
    found = [find_earlier(name) or find_target(name) for name in names]
    targets = with_options([side for side in found if isinstance(side, Target)], args)
    for side in found:
        if not targets and isinstance(side, Earlier):
            refuse_without_effect(side.name, args)
    live = iter(zip(targets, tasks_of(targets, args), strict=True))
    folders = (out, None if out is None else out / AGAINST)
    sides = [
        side if isinstance(side, Earlier) else make_live(name, *next(live), folder)
        for name, side, folder in zip(names, found, folders, strict=False)
    ]
    tasks, k = task_names(sides, args), draws(sides, targets, args)
    if len(sides) == 2:
        refuse_incomparable(sides[0], sides[1], tasks)
    return Plan(sides, tasks, k)


def make_live(name: str, target: Target, tasks: list[Task], folder: Path | None) -> Live:
    settings = settings_of(target, tasks)
    if folder is not None:
        check_settings(folder, settings)
    return Live(name, target, tasks, settings, folder)


def already_made(side: Live) -> Earlier | None:
    """The evaluation, where a folder that is gone on with holds all of it: then no model need be loaded."""
    if side.folder is None:
        return None
    rows: dict[str, list[Row]] = {}
    for task in side.tasks:
        options, items = side.target.eval, Items(side.folder / ITEMS / f"{task.name}.jsonl")
        blocks = make_blocks(task, samples=options.samples, temperature=options.temperature, seed=side.target.seed)
        if count_whole(whole := list(blocks), items, task.name) < len(whole):
            return None
        rows[task.name] = items.rows
    return Earlier(side.name, side.settings, rows)


def with_options(targets: Sequence[Target], args: Namespace) -> list[Target]:
    """What the command line says goes before what the recipe says, that of the first target which has one.

    In a comparison all are asked the same problems with the same sampling, each in the words of its own recipe.
    """
    if not targets:
        return []
    lead = next((target for target in targets if target.data is not None), targets[0])
    limit = {} if args.limit is None else {"limit": None if args.limit == "all" else args.limit}
    given = {name: getattr(args, name) for name in ("tasks", "split", "samples", "temperature", "batch", "data_root")}
    changes = {key: value for key, value in given.items() if value is not None} | limit
    options = lead.eval.model_copy(update=changes)
    if lead.data is None and "heldout" in options.tasks:
        raise UserError(f"{args.target} has no recipe that says what to evaluate on; add --task gsm8k, say.")
    if LOSS in options.tasks:
        raise UserError(f"{LOSS} is measured while SFT trains, and by no evaluation; name problems with --task.")
    if options.batch > EVAL_BLOCK:
        raise UserError(f"--batch {options.batch} exceeds {EVAL_BLOCK}, the completions that are drawn together.")
    tokens = lead.rollout.max_new_tokens if args.max_new_tokens is None else args.max_new_tokens
    seed = lead.seed if args.seed is None else args.seed
    return [
        target._replace(
            data=target.data or lead.data,
            rollout=target.rollout.model_copy(update={"max_new_tokens": tokens}),
            eval=options,
            seed=seed,
        )
        for target in targets
    ]


def tasks_of(targets: Sequence[Target], args: Namespace) -> list[list[Task]]:
    """The tasks of each target: the same problems, which are read once."""
    if not targets:
        return []
    options = targets[0].eval
    reading = {name: getattr(args, name) for name in READING if getattr(args, name) is not None}
    if reading and all(task in EVAL_TASKS for task in options.tasks):
        raise UserError(f"--{next(iter(reading))} is for a task given by path; {', '.join(options.tasks)} is not.")
    lead = next((target for target in targets if target.data is not None), targets[0])
    tasks = load_tasks(
        options.tasks,
        lead.data,
        split=options.split,
        limit=options.limit,
        root=options.data_root,
        reading=reading,
        prompt=args.prompt,
    )
    for task in tasks:
        if task.data.kind == "preferences":
            raise UserError(
                f"{task.data.path} has preferences, which have no answers to grade; name problems, such as --task "
                "gsm8k. The rewards of a run's completions are in its scores.json."
            )
    return [[asked_by(target, task, args.prompt) for task in tasks] for target in targets]


def asked_by(target: Target, task: Task, prompt: str | None) -> Task:
    if prompt is not None or target.data is None:
        return task
    template = recipe_template(target.data)
    return task._replace(data=ask(task.data, template), prompt=template)


def refuse_without_effect(name: str, args: Namespace) -> None:
    for option in OF_EVALUATION:
        value = getattr(args, option)
        if value is not None and value is not False:  # 0 is a value that was given
            shown = option.replace("_", "-")
            raise UserError(f"{name} was evaluated before, so --{shown} has no effect on it; leave it out.")


def task_names(sides: Sequence[Side], args: Namespace) -> list[str]:
    """The tasks to report: those of what is evaluated now, or else those of the earlier evaluation that are named."""
    live = [side for side in sides if isinstance(side, Live)]
    names = [task.name for task in live[0].tasks] if live else args.tasks or list(golds(sides[0]))
    for side in sides:
        for name in names:
            if name not in golds(side):
                ending = suggestion(name, list(golds(side)), otherwise="it holds")
                raise UserError(f"{side.name} holds no evaluation on {name}; {ending}")
    return names


def draws(sides: Sequence[Side], targets: Sequence[Target], args: Namespace) -> tuple[int, ...]:
    """The k of pass@k and maj@k; more than there are samples is refused."""
    k = tuple(args.k or (targets[0].eval.k if targets else ()))
    for side in sides if args.k else [side for side in sides if isinstance(side, Live)]:
        if k and max(k) > samples_of(side):
            raise UserError(
                f"k = {max(k)} needs as many samples a problem, and {side.name} has {samples_of(side)}; "
                "see --samples and --k."
            )
    return k


def samples_of(side: Side) -> int:
    if isinstance(side, Live):
        return side.target.eval.samples
    found = (row["sample"] for rows in side.rows.values() for row in rows if row["decoding"] == "sampled")
    return max(found, default=-1) + 1


def golds(side: Side) -> dict[str, Golds]:
    """Gold answers by task and item."""
    if isinstance(side, Live):
        return {task.name: {problem.id: problem.answer for problem in task.problems} for task in side.tasks}
    return {task: golds_of(rows) for task, rows in side.rows.items()}


def refuse_incomparable(a: Side, b: Side, tasks: Sequence[str]) -> None:
    names = (a.name, b.name)
    refuse_other_settings(a.settings, b.settings, names=names)
    for task in tasks:
        refuse_other_items(task, golds(a)[task], golds(b)[task], names=names)
