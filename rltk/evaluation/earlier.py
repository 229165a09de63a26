"""Evaluations that were made before: the folder that `rltk eval --out` left, or one file of items."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.evaluation.items import Check, Row, check_graded, recover
from rltk.evaluation.settings import Settings
from rltk.recipe.locate import expanded

SETTINGS, ITEMS, SCORES = "settings.json", "items", "scores.json"
RUN_TIMES = ("before-", "after-")
"""How a run's files of items begin, before the name of the task."""


class Earlier(NamedTuple):
    name: str
    settings: Settings
    """Empty where nothing but items is known."""
    rows: dict[str, list[Row]]
    """By task."""

    def prompt(self, task: str) -> dict[str, str] | None:
        return self.settings.get("tasks", {}).get(task, {}).get("prompt")


def find_earlier(name: str) -> Earlier | None:
    """The earlier evaluation in a folder or a file of items; None for what is neither."""
    path = expanded(name)
    if (path / SETTINGS).is_file():
        return Earlier(name, read_settings(path), finished_rows(path))
    if path.suffix == ".jsonl" and path.is_file():
        rows = recover(path)
        if not rows:
            raise UserError(f"{name} holds no items.")
        folder = path.parent.parent
        settings = read_settings(folder) if (folder / SETTINGS).is_file() else {}
        return Earlier(name, settings, {task_of(path): rows})
    return None


def finished_rows(folder: Path, check: Check = check_graded) -> dict[str, list[Row]]:
    if not (folder / SCORES).is_file():
        raise UserError(
            f"the evaluation in {folder} is not finished; go on with the command that began it and --resume."
        )
    return {task_of(path): recover(path, check) for path in sorted((folder / ITEMS).glob("*.jsonl"))}


def task_of(path: Path) -> str:
    """The task whose items a file holds: `gsm8k` for `gsm8k.jsonl`, and for `after-gsm8k.jsonl` of a run."""
    prefix = next((prefix for prefix in RUN_TIMES if path.stem.startswith(prefix)), "")
    return path.stem.removeprefix(prefix)


def read_settings(folder: Path) -> Settings:
    path = folder / SETTINGS
    try:
        settings: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); evaluate anew in another folder.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("tasks"), dict):
        raise UserError(f"{path} holds no settings of an evaluation.")
    return settings
