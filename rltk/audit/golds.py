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
from rltk.embedded.equations import equations
from rltk.embedded.word_problems import word_problems
from rltk.errors import UserError, suggestion
from rltk.hub import seek_hub
from rltk.recipe.paths import what_is_wrong
from rltk.recipe.schema import EMBEDDED, Data

SOLUTIONS = {SOURCES["math500"].path: "solution"}
"""Column of the worked solution by hub id, where the answer has a column of its own."""


def gold_rows(
    name: str, *, splits: Sequence[str] | None, root: str | None, solution: str | None, reading: dict[str, Any]
) -> list[Labelled]:
    """The rows of a task, a hub id, a folder or a file, of all splits unless some are named.

    `reading` is laid over how anything but a task is read: its configuration, answer column and kind of answer.
    """
    data = rooted(find_data(name, reading | ({} if solution is None else {"solution": solution})), root)
    splits = list(dict.fromkeys(splits or ()))
    if data.is_embedded:
        return embedded_rows(data, splits)
    column = solution or solution_column(data)
    return [row for part, split in pieces(data, splits) for row in read_golds(part, split, column)]


def find_data(name: str, options: dict[str, Any]) -> Data:
    reading = {key: value for key, value in options.items() if key != "solution"}
    known = next((data for task, data in SOURCES.items() if name in (task, data.path)), None)
    if known is not None and options and (known.is_embedded or name in SOURCES):
        raise UserError(f"--{next(iter(options))} is for a data set given by path or hub id; {name} is not.")
    if known is not None:
        return known.model_copy(update=reading)
    if os.path.exists(os.path.expanduser(name)):
        return task_data(name, None, reading)
    wrong = what_is_wrong(name, may_be_remote=True)
    if wrong:
        raise UserError(f"{name} {wrong}")
    if name.count("/") != 1 or name.startswith(EMBEDDED):
        ending = suggestion(name, list(SOURCES), otherwise="choose one of")
        raise UserError(f"{name} is neither a task, a folder, a file nor a hub id; {ending}")
    return Data.model_validate({"path": name} | reading)


def solution_column(data: Data) -> str:
    """Where a known data set, by task, hub id or a folder of that name, keeps its solutions; else the answer."""
    hub_id = "/".join(Path(data.path).parts[-2:])
    return data.answer if is_file(data) else SOLUTIONS.get(hub_id, data.answer)


def embedded_rows(data: Data, splits: Sequence[str]) -> list[Labelled]:
    for split in splits:
        if split not in EMBEDDED_SIZES:
            ending = suggestion(split, list(EMBEDDED_SIZES), otherwise="choose one of")
            raise UserError(f"the embedded problems have no split {split}; {ending}")
    generate = {"embedded/word-problems": word_problems, "embedded/equations": equations}[data.path]
    return [
        Labelled(problem.id, problem.solution, str(problem.answer), True, data.answer_kind, problem.question)
        for split in splits or EMBEDDED_SIZES
        for problem in generate(split, EMBEDDED_SIZES[split])
    ]


def pieces(data: Data, splits: Sequence[str]) -> Iterator[tuple[Data, str]]:
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
    folder = os.path.expanduser(data.path)
    if not os.path.exists(folder):
        seek_hub()  # first: data sets look only once whether they are offline
    import datasets  # seconds to import
    from datasets.exceptions import DatasetsError

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
    kind: Kind = data.answer_kind
    gold, worked = (text_of(row.values.get(column)) for column in (data.answer, solution))
    return Labelled(
        place, as_completion(worked, kind), gold, True, kind, text_of(row.values.get(data.question)) or None
    )


def text_of(value: object) -> str:
    return "" if value is None else str(value)
