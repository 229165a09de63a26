"""Rows of a data set, from a file, a folder or the hub; what is wrong with one is said by its line or row."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.hub import seek_hub
from rltk.recipe.paths import what_is_wrong
from rltk.recipe.schema import Data


class Row(NamedTuple):
    place: str
    """`line 4` of a .jsonl file, as an editor counts; `row 3` elsewhere, as the hub's viewer counts, from 0."""
    values: dict[str, Any]


def read_rows(data: Data, split: str, needed: Mapping[str, str]) -> list[Row]:
    """All rows of one configuration, from a file whatever the split. There is at least one, and the columns exist that
    are needed, by the key of the recipe that names each."""
    wrong = what_is_wrong(data.path, may_be_remote=True)  # a run may be resumed from another folder
    if wrong:
        raise UserError(f"data.path = {data.path} {wrong}")
    rows = read_file(Path(os.path.expanduser(data.path))) if is_file(data) else read_dataset(data, split)
    where = described(data, split)
    if not rows:
        raise UserError(f"{where} has no rows.")
    columns = {column for row in rows for column in row.values}
    for key, column in needed.items():
        if column not in columns:
            raise UserError(
                f"{where} has no column {column!r}, which {key} names; it has {', '.join(sorted(columns))}."
            )
    return rows


def described(data: Data, split: str) -> str:
    """The place that a message names: the file, or the data set with its configuration and split."""
    if is_file(data):
        return data.path
    return f"{data.path} ({split})" if data.config is None else f"{data.path} ({data.config}, {split})"


def is_file(data: Data) -> bool:
    return os.path.isfile(os.path.expanduser(data.path))


def read_file(path: Path) -> list[Row]:
    try:
        match path.suffix:
            case ".jsonl":
                return list(read_lines(path))
            case ".json":
                return [checked_row(path, f"row {index}", row) for index, row in enumerate(read_list(path))]
            case ".parquet":
                return read_parquet(path)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        first_line = str(error).split("\n")[0]
        raise UserError(f"{path} could not be read: {first_line}") from error
    raise UserError(f"{path}: of files only .jsonl, .json and .parquet are read.")


def read_lines(path: Path) -> Iterator[Row]:
    """One JSON object a line; empty lines are passed over."""
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}); "
                    "one object a line was expected."
                ) from error
            yield checked_row(path, f"line {number}", value)


def read_list(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); if it has one object a line, call it .jsonl.") from error
    if not isinstance(rows, list):
        raise UserError(f"{path} does not hold a list of objects.")
    return rows


def checked_row(path: Path, place: str, value: Any) -> Row:
    if not isinstance(value, dict):
        raise UserError(f"{path}, {place}: {json.dumps(value)[:60]} is not an object.")
    return Row(place, value)


def read_parquet(path: Path) -> list[Row]:
    from pyarrow import parquet  # comes with datasets; the embedded problems need neither

    return [Row(f"row {index}", row) for index, row in enumerate(parquet.read_table(path).to_pylist())]


def read_dataset(data: Data, split: str) -> list[Row]:
    assert not isinstance(data.config, tuple)  # joined by the caller, so that a message names the one at fault
    return load_split(data.path, data.config, split, what=f"data.path = {data.path!r}: split {split!r}")


def load_split(path: str, config: str | None, split: str, *, what: str, data_dir: str | None = None) -> list[Row]:
    """A split of a local folder in the hub's layout, or of a data set of the hub; `what` begins the refusal."""
    folder = os.path.expanduser(path)
    if not os.path.exists(folder):
        seek_hub()  # first: data sets look only once whether they are offline
    import datasets  # seconds to import
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(folder if os.path.exists(folder) else path, config, data_dir=data_dir, split=split)
    # StopIteration is what an empty file in a folder comes to.
    except (OSError, ValueError, StopIteration, DatasetsError) as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0] or "is a file in it empty?"
        raise UserError(
            f"{what} could not be read ({reason}); give a folder, a .jsonl or .parquet file, or a hub id while online."
        ) from error
    return [Row(f"row {index}", dict(row)) for index, row in enumerate(rows)]
