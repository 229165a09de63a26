"""A run's own completions, with what a looser reader makes of them in place of a label."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk_eval.answers import Grade, Kind, Verdict
from rltk_eval.audit import TIMEOUT, Judged, Labelled
from rltk_eval.looser import find_gold, stated_answers

from rltk.data.tasks import SOURCES
from rltk.errors import UserError, suggestion
from rltk.evaluation.earlier import ITEMS, task_of
from rltk.evaluation.items import Row, recover
from rltk.recipe.locate import expanded, near_file

FOUND = "not judged correct, but the gold answer stands {}"
SEVERAL = "judged correct, but it states several answers"
_NUMBER = re.compile(r"-?\d+(?:/\d+)?")


class ItemsFile(NamedTuple):
    task: str
    path: Path


def run_rows(name: str, *, tasks: Sequence[str] | None, kind: Kind | None) -> list[Judged]:
    """The items of a run, of an evaluation, or of one file of items; of all tasks unless some are named."""
    files = choose(find_files(name), tasks, name)
    judged = [one for file in files for one in judge_file(file, kind)]
    if not judged:
        raise UserError(f"{name} holds no items yet.")
    return judged


def find_files(name: str) -> list[ItemsFile]:
    path = expanded(name)
    if path.is_file():
        return [ItemsFile(task_of(path), path)]
    if not path.is_dir():
        raise UserError(f"{name} does not exist{near_file(path)}")
    files = sorted((path / ITEMS).glob("*.jsonl"))
    if not files:
        raise UserError(f"{name} holds no items/*.jsonl; name a run, or make some with: rltk eval MODEL --out DIR.")
    return [ItemsFile(task_of(file), file) for file in files]


def choose(files: Sequence[ItemsFile], tasks: Sequence[str] | None, name: str) -> list[ItemsFile]:
    held = sorted({file.task for file in files})
    for task in tasks or ():
        if task not in held:
            raise UserError(f"{name} holds no items of {task}; {suggestion(task, held, otherwise='it holds')}")
    return [file for file in files if not tasks or file.task in tasks]


def judge_file(file: ItemsFile, kind: Kind | None) -> list[Judged]:
    rows = recover(file.path)
    for line, row in enumerate(rows, 1):
        if not all(isinstance(row[key], str) for key in ("completion", "gold", "prompt")):
            raise UserError(f"{file.path}, line {line}: completion, gold and prompt must be texts.")
    kind = kind or kind_of(file.task, rows)
    return [judge_row(f"{file.path.name}, line {line}", row, kind) for line, row in enumerate(rows, 1)]


def kind_of(task: str, rows: Sequence[Row]) -> Kind:
    """As the task is read where it has a name; else number where every gold answer is one."""
    if task in SOURCES:
        return SOURCES[task].answer_kind
    return "number" if all(_NUMBER.fullmatch(row["gold"]) for row in rows) else "math"


def judge_row(place: str, row: Row, kind: Kind) -> Judged:
    """The verdict that was given, and why a looser reader disagrees, if it does."""
    grade = Grade(Verdict(row["verdict"]), row["answer"])
    why = doubt(row["completion"], kind) if grade.correct else oversight(row["completion"], row["gold"], kind)
    is_correct = grade.correct == (why is None)
    labelled = Labelled(f"{place} ({row['id']})", row["completion"], row["gold"], is_correct, kind, row["prompt"])
    if why is None and grade.verdict is Verdict.TIMEOUT:
        why = TIMEOUT
    return Judged(labelled, row["gold"], grade, why)


def oversight(completion: str, gold: str, kind: Kind) -> str | None:
    place = find_gold(completion, gold, kind=kind)
    return None if place is None else FOUND.format(place)


def doubt(completion: str, kind: Kind) -> str | None:
    return SEVERAL if len(stated_answers(completion, kind=kind)) > 1 else None
