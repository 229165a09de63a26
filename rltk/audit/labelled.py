"""Labelled completions from a file: every row is checked, by line and key, before any is graded."""

import json
from pathlib import Path
from typing import Any, cast, get_args

from rltk_eval.answers import Kind, gold_answer
from rltk_eval.audit import Labelled

from rltk.data.rows import Row, read_file
from rltk.errors import UserError
from rltk.recipe.locate import expanded, near_file

EXPECTED: dict[str, tuple[tuple[type, ...], str]] = {
    "completion": ((str,), "the text that is to be judged was expected"),
    "gold": ((str, int, float), "an answer, or a solution that ends in one, was expected"),
    "correct": ((bool,), "true or false, without quotes, was expected"),
}
"""Types of each key that a row must have."""


def labelled_rows(name: str, *, kind: Kind) -> list[Labelled]:
    """Rows with `completion`, `gold`, `correct`, and perhaps `question` and `kind`, which is `kind` unless it says."""
    path = expanded(name)
    rows = [read_labelled(f"{name}, {row.place}", row, kind) for row in read_file(existing(name, path))]
    if not rows:
        raise UserError(f"{name} has no rows.")
    return rows


def existing(name: str, path: Path) -> Path:
    if path.is_dir():
        raise UserError(f"{name} is a folder; name a .jsonl file of labelled completions.")
    if not path.is_file():
        raise UserError(f"{name} does not exist{near_file(path)}")
    return path


def read_labelled(where: str, row: Row, kind: Kind) -> Labelled:
    for key in EXPECTED:
        check_value(where, row.values, key)
    question, own_kind = row.values.get("question"), row.values.get("kind") or kind
    if own_kind not in get_args(Kind):
        raise UserError(f"{where}: kind is {shown(own_kind)}; number or math was expected.")
    return Labelled(
        place=where,
        completion=row.values["completion"],
        gold=readable_gold(where, str(row.values["gold"]), own_kind),
        correct=row.values["correct"],
        kind=cast(Kind, own_kind),
        question=None if question is None else str(question),
    )


def check_value(where: str, values: dict[str, Any], key: str) -> None:
    types, fix = EXPECTED[key]
    value = values.get(key)
    is_stray_bool = isinstance(value, bool) and bool not in types  # which Python takes for a number
    if value is None or is_stray_bool or not isinstance(value, types):
        raise UserError(f"{where}: {key} is {'missing' if value is None else shown(value)}; {fix}.")


def readable_gold(where: str, gold: str, kind: Kind) -> str:
    """In canonical form; a label means nothing where the answer it is about cannot be read."""
    try:
        return gold_answer(gold, kind=kind)
    except ValueError as error:
        raise UserError(f"{where}: gold has {error}.") from error


def shown(value: object) -> str:
    return json.dumps(value)[:60]
