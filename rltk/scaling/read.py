"""Results of runs for a scaling law: rows with `arm`, `data`, `loss` and perhaps `size`, from .jsonl, .json or .csv."""

import csv
import json
from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from rltk_eval.scaling_law import ScalingRun

from rltk.errors import UserError
from rltk.recipe.locate import expanded, near_file

ONE_SIZE = 1.0
"""The factor beside data where no row has one: it then has no part in the law."""


class Results(NamedTuple):
    arms: dict[str, list[ScalingRun]]
    failed: int
    """Rows whose loss is null or no finite number: left out, and counted."""


def read_results(path: str) -> Results:
    file = expanded(path)
    if not file.exists():
        raise UserError(f"{path} does not exist{near_file(file)}")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} could not be read: {error}") from error
    rows = parse(path, file, text)
    return collect(path, rows)


def parse(path: str, file: Path, text: str) -> list[tuple[str, Any]]:
    """Each row with its place."""
    try:
        match file.suffix:
            case ".jsonl":
                lines = enumerate(text.splitlines(), 1)
                return [(f"line {number}", json.loads(line)) for number, line in lines if line.strip()]
            case ".json":
                return [(f"row {index}", row) for index, row in enumerate(json.loads(text))]
            case ".csv":
                return [(f"line {number}", row) for number, row in enumerate(csv.DictReader(text.splitlines()), 2)]
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(
            f"{path} is not the JSON that its name promises ({error}); see `rltk scaling --help`."
        ) from error
    raise UserError(f"{path}: results are read from .jsonl, .json and .csv files.")


def collect(path: str, rows: Sequence[tuple[str, Any]]) -> Results:
    if not rows:
        raise UserError(f"{path} has no rows.")
    has_size = [isinstance(row, dict) and row.get("size") not in (None, "") for _, row in rows]
    if any(has_size) and not all(has_size):
        place, _ = rows[has_size.index(False)]
        raise UserError(f"{path}, {place}: size is missing, and other rows have one; give all a size, or none.")
    arms: dict[str, list[ScalingRun]] = {}
    failed = 0
    for place, row in rows:
        run = read_row(f"{path}, {place}", row)
        if run is None:
            failed += 1
        else:
            arms.setdefault(str(row["arm"]), []).append(run)
    if not arms:
        raise UserError(f"{path}: no row has a loss, so there is nothing to fit.")
    return Results(arms, failed)


def read_row(where: str, row: Any) -> ScalingRun | None:
    """None for a run that failed."""
    if not isinstance(row, dict) or row.get("arm") in (None, ""):
        raise UserError(f"{where}: an object with arm, data and loss was expected.")
    if row.get("loss") in (None, "", "nan", "null"):
        return None
    size, data, loss = numbers(
        where, [("size", row.get("size") or ONE_SIZE), *((k, row.get(k)) for k in ("data", "loss"))]
    )
    return ScalingRun(size, data, loss) if isfinite(loss) else None


def numbers(where: str, named: Iterable[tuple[str, Any]]) -> list[float]:
    found: list[float] = []
    for key, value in named:
        try:
            found.append(float(value))
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {key} = {value!r} must be a number.") from error
        if found[-1] <= 0:
            raise UserError(f"{where}: {key} = {value!r} must be greater than 0.")
    return found
