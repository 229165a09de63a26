"""Evaluation tasks by name: which problems `gsm8k` or `heldout` stands for, and how they are asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.data.problems import Problem, load_problems
from rltk.data.rows import is_file
from rltk.errors import UserError
from rltk.recipe.paths import what_is_wrong
from rltk.recipe.schema import Data

SOURCES = {
    "gsm8k": Data(
        path="openai/gsm8k",
        config="main",
        prompt="{question}\n\nThink step by step, and end with a line of `#### ` and the number alone.",
    ),
    "word-problems": Data(path="embedded/word-problems"),
}


class Task(NamedTuple):
    name: str
    """As it appears in scores.json."""
    data: Data
    problems: list[Problem]


def load_tasks(names: Sequence[str], recipe_data: Data | None, *, split: str, limit: int | None) -> list[Task]:
    """The first `limit` problems of each task. A recipe's model is asked as its own problems are."""
    tasks = [load_task(name, recipe_data, split=split, limit=limit) for name in names]
    for task in tasks:
        paths = [other.data.path for other in tasks if other.name == task.name]
        if len(paths) > 1:
            raise UserError(f"{' and '.join(paths)} would both be reported as {task.name}; evaluate on one of them.")
    return tasks


def load_task(name: str, recipe_data: Data | None, *, split: str, limit: int | None) -> Task:
    data = task_data(name, recipe_data)
    if name == "heldout" and split == "test" and is_file(data):
        raise UserError(
            f"{data.path} is one file, so nothing in it is held out: set data.validation to how many problems to hold "
            "out and eval.split to validation, or name other problems in eval.tasks."
        )
    return Task(short_name(data.path), data, load_problems(data, split)[:limit])


def task_data(name: str, recipe_data: Data | None) -> Data:
    if name == "heldout" and recipe_data is not None:
        return recipe_data
    data = SOURCES[name] if name in SOURCES else local_data(name)
    if recipe_data is None:
        return data
    return data.model_copy(update={"prompt": recipe_data.prompt, "system": recipe_data.system})


def local_data(name: str) -> Data:
    wrong = what_is_wrong(name, may_be_remote=False)
    if wrong:
        raise UserError(f"task {name} {wrong}")
    return Data(path=name)


def short_name(path: str) -> str:
    """`gsm8k` for `openai/gsm8k` and for a folder of that name; `mine` for `data/mine.jsonl`."""
    whole = Path(path).expanduser().resolve()
    return whole.stem if whole.is_file() else whole.name
