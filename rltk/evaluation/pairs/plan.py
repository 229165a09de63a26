"""What `rltk eval` of a reward model is about to do, decided from its command line and files, without torch."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.data.tasks import HELDOUT
from rltk.errors import UserError, suggestion
from rltk.evaluation.earlier import ITEMS, SETTINGS, Earlier, finished_rows, read_settings, task_of
from rltk.evaluation.folder import AGAINST, check_settings, chosen_folder
from rltk.evaluation.items import Items, Row, recover
from rltk.evaluation.pairs.rows import COMPARED, check_pair
from rltk.evaluation.pairs.target import RewardTarget, find_reward_model, is_reward_model
from rltk.evaluation.pairs.tasks import PairTask, Reading, load_pair_tasks
from rltk.evaluation.settings import Settings, folders_hash, made_with
from rltk.recipe.locate import expanded

MEASURES = "pairs"
"""What `settings.json` of such an evaluation says it measures."""
OF_POLICIES = ("prompt", "question", "answer", "kind", "samples", "k", "temperature", "max_new_tokens", "seed", "batch")
"""Options of `rltk eval` that say how a policy is asked, and have no effect on a reward model."""
OF_PAIRS = ("tasks", "data_root", "data_dir", "split", "limit", "out", "resume")


class Scoring(NamedTuple):
    """Pairs to score with a reward model."""

    name: str
    target: RewardTarget
    tasks: list[PairTask]
    settings: Settings
    folder: Path | None

    def items(self, task: PairTask) -> Items:
        path = None if self.folder is None else self.folder / ITEMS / f"{task.name}.jsonl"
        return Items(path, check_pair)


Side = Scoring | Earlier


class PairPlan(NamedTuple):
    sides: list[Side]
    tasks: list[str]


def measures_pairs(name: str) -> bool:
    """Whether this is a reward model, or pairs that one scored before."""
    path = expanded(name)
    if (path / SETTINGS).is_file():
        return read_settings(path).get("measures") == MEASURES
    return is_pair_file(path) if path.suffix == ".jsonl" else is_reward_model(name)


def is_pair_file(path: Path) -> bool:
    try:
        with path.open("rb") as lines:
            first = json.loads(lines.readline())
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "chosen_score" in first


def make_pair_plan(args: Namespace) -> PairPlan:
    names = [name for name in (args.target, args.against) if name is not None]
    refuse_unhonoured(args)
    out = chosen_folder(args)
    found = [find_side(name) for name in names]
    tasks = tasks_of([side for side in found if isinstance(side, RewardTarget)], args)
    folders = (out, None if out is None else out / AGAINST)
    sides: list[Side] = [
        side if isinstance(side, Earlier) else make_scoring(name, side, tasks, folder)
        for name, side, folder in zip(names, found, folders, strict=False)
    ]
    chosen = chosen_tasks(sides, args)
    if len(sides) == 2:
        for task in chosen:
            refuse_other_pairs(task, sides)
    return PairPlan(sides, chosen)


def refuse_unhonoured(args: Namespace) -> None:
    for option in OF_POLICIES:
        if getattr(args, option) is not None:
            raise UserError(f"--{option.replace('_', '-')} says how a policy is asked; {args.target} scores pairs.")
    if args.by:
        raise UserError("--by is for problems; pairs are broken down by the subsets that they name.")


def find_side(name: str) -> RewardTarget | Earlier:
    path = expanded(name)
    if (path / SETTINGS).is_file():
        return Earlier(name, read_settings(path), finished_rows(path, check_pair))
    if is_pair_file(path):
        return Earlier(name, {}, {task_of(path): recover(path, check_pair)})
    return find_reward_model(name)


def tasks_of(targets: Sequence[RewardTarget], args: Namespace) -> list[PairTask]:
    """The pairs that all targets score; what the command line says goes before the recipe of the first that has one."""
    if not targets:
        for option in OF_PAIRS[1:]:
            if getattr(args, option):
                raise UserError(f"--{option.replace('_', '-')} has no effect on what was scored before; leave it out.")
        return []
    lead = next((target for target in targets if target.recipe is not None), targets[0])
    recipe = lead.recipe
    names = args.tasks or (recipe.eval.tasks if recipe is not None else None)
    if names is None or (recipe is None and HELDOUT in names):
        raise UserError(f"{args.target} has no recipe that says what to evaluate on; add --task hh-rlhf, say.")
    whole = None if recipe is None else recipe.eval.limit
    return load_pair_tasks(
        names,
        Reading(
            data=None if recipe is None else recipe.data,
            split=args.split or ("test" if recipe is None else recipe.eval.split),
            limit=whole if args.limit is None else None if args.limit == "all" else args.limit,
            root=args.data_root or (None if recipe is None else recipe.eval.data_root),
            data_dir=args.data_dir,
            sampled=lead.sampled,
        ),
    )


def make_scoring(name: str, target: RewardTarget, tasks: list[PairTask], folder: Path | None) -> Scoring:
    settings = {
        "measures": MEASURES,
        "model": str(target.folder),
        "weights": folders_hash([target.folder]),
        "plain": target.plain,
        "tasks": {task.name: {"path": task.source, "pairs": len(task.pairs), "hash": task.hash} for task in tasks},
        **made_with(),
    }
    if folder is not None:
        check_settings(folder, settings)
    return Scoring(name, target, tasks, settings, folder)


def chosen_tasks(sides: Sequence[Side], args: Namespace) -> list[str]:
    live = [side for side in sides if isinstance(side, Scoring)]
    first = sides[0]
    assert live or isinstance(first, Earlier)
    names = [task.name for task in live[0].tasks] if live else args.tasks or list(first.rows)  # type: ignore[union-attr]
    for side in sides:
        for name in names:
            if isinstance(side, Earlier) and name not in side.rows:
                ending = suggestion(name, list(side.rows), otherwise="it holds")
                raise UserError(f"{side.name} holds no evaluation on {name}; {ending}")
    return names


def refuse_other_pairs(task: str, sides: Sequence[Side]) -> None:
    a, b = (pairs_of(side, task) for side in sides)
    if a != b:
        place = next((i for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
        raise UserError(
            f"{sides[0].name} and {sides[1].name} cannot be compared on {task}: {len(a)} and {len(b)} pairs, which "
            f"differ from pair {place} on."
        )


def pairs_of(side: Side, task: str) -> list[tuple[object, ...]]:
    """What was scored, in order."""
    rows: Sequence[Row]
    if isinstance(side, Earlier):
        rows = side.rows[task]
    else:
        pairs = next(found for found in side.tasks if found.name == task).pairs
        rows = [pair._asdict() | {"prompt": [message._asdict() for message in pair.prompt]} for pair in pairs]
    return [tuple(row[key] for key in COMPARED) for row in rows]
