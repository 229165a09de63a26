"""Evaluation tasks by name: which problems `gsm8k` or `heldout` stands for, and how they are asked."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rltk.data.asked import load_asked
from rltk.data.problems import Problem
from rltk.data.rows import is_file
from rltk.data.templates import Template, find_template, recipe_template
from rltk.errors import UserError
from rltk.recipe.locate import expanded
from rltk.recipe.paths import what_is_wrong
from rltk.recipe.schema import EMBEDDED, Data

HELDOUT = "heldout"
MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
SOURCES = {
    "gsm8k": Data(path="openai/gsm8k", config="main"),
    "math": Data(
        path="EleutherAI/hendrycks_math",
        config=MATH_SUBJECTS,
        question="problem",
        answer="solution",
        subject="type",
        kind="math",
    ),
    "math500": Data(path="HuggingFaceH4/MATH-500", question="problem", kind="math"),
    "word-problems": Data(path="embedded/word-problems"),
    "equations": Data(path="embedded/equations"),
}
PROMPTS = {"gsm8k": "gsm8k/zero-shot@1", "math": "math/zero-shot@1", "math500": "math/zero-shot@1"}
"""How a model without a recipe is asked; plain@1 where nothing is named."""


class Task(NamedTuple):
    name: str
    """As it appears in scores.json."""
    data: Data
    """It asks as `prompt` says."""
    problems: list[Problem]
    prompt: Template


def load_tasks(
    names: Sequence[str],
    recipe_data: Data | None,
    *,
    split: str,
    limit: int | None,
    root: str | None = None,
    reading: dict[str, Any] | None = None,
    prompt: str | None = None,
) -> list[Task]:
    """The first `limit` problems of each task. A recipe's model is asked as its own problems are, unless by `prompt`.

    `root` holds data sets under their hub ids, in place of the hub. `reading` is laid over how a path is read: which
    columns, which kind of answer; a path is otherwise read as the recipe's data is.
    """
    tasks = [
        Task(task_name(name, data), ask(data, template), load_asked(data, split, limit), template)
        for name, data, template in resolve_tasks(names, recipe_data, split, root, reading, prompt)
    ]
    for task in tasks:
        paths = [other.data.path for other in tasks if other.name == task.name]
        if len(paths) > 1:
            raise UserError(f"{' and '.join(paths)} would both be reported as {task.name}; evaluate on one of them.")
    return tasks


class Resolved(NamedTuple):
    name: str
    data: Data
    template: Template


def resolve_tasks(
    names: Sequence[str],
    recipe_data: Data | None,
    split: str,
    root: str | None,
    reading: dict[str, Any] | None,
    prompt: str | None,
) -> list[Resolved]:
    """What each task reads and how it asks, before anything is read: all that can be mistyped is refused here."""
    resolved: list[Resolved] = []
    for name in names:
        data = rooted(task_data(name, recipe_data, reading or {}), root)
        if name == HELDOUT and split == "test" and is_file(data):
            raise UserError(
                f"{data.path} is one file, so nothing in it is held out: set data.validation to how many problems to "
                "hold out and eval.split to validation, or name other problems in eval.tasks."
            )
        resolved.append(Resolved(name, data, choose_template(name, recipe_data, prompt)))
    return resolved


def task_data(name: str, recipe_data: Data | None, reading: dict[str, Any]) -> Data:
    if name == HELDOUT and recipe_data is not None:
        return recipe_data
    if name in SOURCES:
        return SOURCES[name]
    wrong = what_is_wrong(name, may_be_remote=False, tasks=(HELDOUT, *SOURCES))
    if wrong:
        raise UserError(f"task {name} {wrong}")
    known = known_source(name)
    if known is not None:
        return SOURCES[known].model_copy(update={"path": name} | reading)
    is_alike = recipe_data is not None and not recipe_data.is_embedded and recipe_data.has_answers
    as_recipe = recipe_data.model_dump(include=READING) if recipe_data is not None and is_alike else {}
    return Data.model_validate({"path": name} | as_recipe | reading)


READING = {"question", "answer", "subject", "kind"}
"""How a row is read."""


def known_source(path: str) -> str | None:
    """The task whose data set a folder holds, by its hub id: `math` for `anywhere/EleutherAI/hendrycks_math`."""
    hub_id = "/".join(expanded(path).resolve().parts[-2:])
    return next((name for name, data in SOURCES.items() if data.path == hub_id and expanded(path).is_dir()), None)


def rooted(data: Data, root: str | None) -> Data:
    """The same rows from where `in_root` finds them."""
    return data.model_copy(update={"path": in_root(data.path, root)})


def in_root(path: str, root: str | None) -> str:
    """The data set in `root` where one is given, unless it is embedded or a path of its own."""
    if root is None or path.startswith(EMBEDDED) or os.path.exists(expanded(path)):
        return path
    folder = expanded(root) / path
    if not folder.is_dir():
        raise UserError(f"there is no {path} in {root}; name a folder that holds data sets by their hub ids.")
    return str(folder)


def choose_template(name: str, recipe_data: Data | None, prompt: str | None) -> Template:
    if prompt is not None:
        return find_template(prompt)
    if recipe_data is not None:
        return recipe_template(recipe_data)
    return find_template(PROMPTS.get(name if name in SOURCES else known_source(name) or "", "plain@1"))


def ask(data: Data, template: Template) -> Data:
    return data.model_copy(update={"prompt": template.text, "system": template.system})


def task_name(name: str, data: Data) -> str:
    """`math` for the task and for a folder of its data set; `gsm8k` for the data `openai/gsm8k` of a recipe."""
    if name in SOURCES:
        return name
    known = None if name == HELDOUT else known_source(name)
    return known or short_name(data.path)


def short_name(path: str) -> str:
    """`gsm8k` for `openai/gsm8k` and for a folder of that name; `mine` for `data/mine.jsonl`."""
    whole = Path(path).expanduser().resolve()
    return whole.stem if whole.is_file() else whole.name
