"""Gold solutions of a data set as completions: each must be judged correct against its own answer."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rltk_eval.answers import Kind
from rltk_eval.audit import Labelled, as_completion

from rltk.data.problems import EMBEDDED_SIZES, parts
from rltk.data.rows import Row, described, is_file, read_dataset, read_file
from rltk.data.tasks import SOURCES, rooted, task_data
from rltk.embedded.word_problems import word_problems
from rltk.errors import UserError, suggestion
from rltk.recipe.paths import LOCAL_ENDS, LOCAL_STARTS, what_is_wrong
from rltk.recipe.schema import Data

SOLUTIONS = {SOURCES["math500"].path: "solution"}
"""Column of the worked solution by hub id, where the answer has a column of its own."""


def gold_rows(
    name: str, *, splits: Sequence[str] | None, root: str | None, solution: str | None, reading: dict[str, Any]
) -> list[Labelled]:
    """The rows of a task, a hub id, a folder or a file, of all splits unless some are named.

    `reading` is laid over how anything but a task is read: its configuration, answer column and kind of answer.
    """
    data = rooted(find_data(name, reading), root)
    if data.is_embedded:
        return embedded_rows(splits)
    column = solution or solution_column(name, data)
    return [row for part, split in pieces(data, splits) for row in read_golds(part, split, column)]


def find_data(name: str, reading: dict[str, Any]) -> Data:
    if name in SOURCES:
        if reading:
            raise UserError(f"--{next(iter(reading))} is for a data set given by path; {name} is not.")
        return SOURCES[name]
    wrong = what_is_wrong(name, may_be_remote=True)
    if wrong:
        raise UserError(f"{name} {wrong}")
    known = next((data for data in SOURCES.values() if data.path == name), None)
    if known is not None:
        return known.model_copy(update=reading)
    if os.path.exists(os.path.expanduser(name)):
        return task_data(name, None, reading)
    if name.count("/") != 1 or name.startswith(LOCAL_STARTS) or name.endswith(LOCAL_ENDS):
        ending = suggestion(name, list(SOURCES), otherwise="name a hub id or one of")
        raise UserError(f"{name} is neither a task, a folder, a file nor a hub id; {ending}")
    return Data.model_validate({"path": name} | reading)


def solution_column(name: str, data: Data) -> str:
    """Where a known data set, by task, hub id or a folder of that name, keeps its solutions; else the answer."""
    known = next((hub_id for hub_id in SOLUTIONS if Path(data.path).parts[-2:] == Path(hub_id).parts), None)
    return data.answer if known is None or is_file(data) else SOLUTIONS[known]


def embedded_rows(splits: Sequence[str] | None) -> list[Labelled]:
    for split in splits or ():
        if split not in EMBEDDED_SIZES:
            ending = suggestion(split, list(EMBEDDED_SIZES), otherwise="choose one of")
            raise UserError(f"the embedded problems have no split {split}; {ending}")
    return [
        Labelled(problem.id, problem.solution, str(problem.answer), True, "number", problem.question)
        for split in splits or EMBEDDED_SIZES
        for problem in word_problems(split, EMBEDDED_SIZES[split])
    ]


def pieces(data: Data, splits: Sequence[str] | None) -> Iterator[tuple[Data, str]]:
    """Each configuration and split; a file is one of its own."""
    if is_file(data):
        if splits:
            raise UserError(f"--split is for a data set with splits; {data.path} is one file.")
        yield data, ""
        return
    for part, _ in parts(data, ""):
        for split in splits or all_splits(part):
            yield part, split


def all_splits(data: Data) -> list[str]:
    import datasets  # seconds to import
    from datasets.exceptions import DatasetsError

    folder = os.path.expanduser(data.path)
    try:
        assert not isinstance(data.config, tuple)
        return list(datasets.get_dataset_split_names(folder if os.path.exists(folder) else data.path, data.config))
    except (OSError, ValueError, StopIteration, DatasetsError) as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0] or "is a file in it empty?"
        raise UserError(
            f"{data.path} could not be read ({reason}); give a task, a folder, a .jsonl or .parquet file, or a hub id "
            "while online."
        ) from error


def read_golds(data: Data, split: str, solution: str) -> Iterator[Labelled]:
    rows = read_file(Path(os.path.expanduser(data.path))) if is_file(data) else read_dataset(data, split)
    where = described(data, split)
    if not rows:
        raise UserError(f"{where} has no rows.")
    columns = sorted({column for row in rows for column in row.values})
    for option, column in (("answer", data.answer), ("solution", solution)):
        if column not in columns:
            ending = suggestion(column, columns, otherwise="it has")
            raise UserError(f"{where} has no column {column!r}; {ending} Name it with --{option}.")
    for row in rows:
        yield gold_row(data, f"{where}, {row.place}", row, solution)


def gold_row(data: Data, place: str, row: Row, solution: str) -> Labelled:
    """An answer that is missing is one that does not read: it is counted, as the others of its kind are."""
    kind: Kind = data.kind
    gold, worked = (text_of(row.values.get(column)) for column in (data.answer, solution))
    return Labelled(
        place, as_completion(worked, kind), gold, True, kind, text_of(row.values.get(data.question)) or None
    )


def text_of(value: object) -> str:
    return "" if value is None else str(value)
