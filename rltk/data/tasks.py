"""Evaluation tasks by name: which problems `gsm8k` or `heldout` stands for, and how they are asked."""

from pathlib import Path
from typing import NamedTuple

from rltk.data.problems import Problem, load_problems
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


def load_task(name: str, recipe_data: Data | None, *, split: str, limit: int | None) -> Task:
    """The first `limit` problems of a task. A recipe's model is asked as its own problems are."""
    data = task_data(name, recipe_data)
    return Task(short_name(data.path), data, load_problems(data, split)[:limit])


def task_data(name: str, recipe_data: Data | None) -> Data:
    if name == "heldout" and recipe_data is not None:
        return recipe_data
    data = SOURCES[name] if name in SOURCES else Data(path=name)
    if recipe_data is None:
        return data
    return data.model_copy(update={"prompt": recipe_data.prompt, "system": recipe_data.system})


def short_name(path: str) -> str:
    """`gsm8k` for `openai/gsm8k` and for a folder of that name; `mine` for `data/mine.jsonl`."""
    return Path(path).expanduser().stem
