"""Rows of one task that grow block by block, and survive the end of the process that writes them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rltk_eval.grading import ItemResult, read_row
from rltk_eval.summary import summarize

from rltk.errors import UserError
from rltk.run.atomic import append_jsonl, whole_lines, write_jsonl

Row = dict[str, Any]
Check = Callable[[Row], object]
"""Raises KeyError, TypeError or ValueError for what is no row of its kind of evaluation."""


def check_graded(row: Row) -> None:
    """Of a completion that was graded."""
    read_row(row)
    row["decoding"]


class Items:
    """Rows in memory and, where there is a path, in a JSON-lines file that holds what an earlier process wrote."""

    def __init__(self, path: Path | None = None, check: Check = check_graded) -> None:
        self.path = path
        self.rows: list[Row] = [] if path is None else recover(path, check)

    def keep(self, count: int) -> None:
        """Drops all rows after the first `count`, and half a line that a killed process left."""
        del self.rows[count:]
        if self.path is not None:
            write_jsonl(self.path, self.rows)

    def add(self, rows: Sequence[Row]) -> None:
        """On the disk when it returns; a process that ends meanwhile leaves whole rows and at most one half."""
        self.rows += rows
        if self.path is not None:
            append_jsonl(self.path, rows)


def recover(path: Path, check: Check = check_graded) -> list[Row]:
    """The whole rows of a file that may end in half a line; none where there is no file."""
    return [parse(path, number, line, check) for number, line in enumerate(whole_lines(path), 1)]


def parse(path: Path, number: int, line: bytes, check: Check) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: not JSON ({error}).") from error
    try:
        check(row)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}, line {number}: not a row of an evaluation ({error}).") from error
    return row


def score_rows(
    rows: Sequence[Row], prompt: dict[str, str] | None, *, temperature: float | None, k: Sequence[int] = ()
) -> dict[str, Any]:
    """The scores of a task: greedy ones, and under `sampled` those of the samples, where there are any."""
    sampled = results(rows, "sampled")
    score: dict[str, Any] = {**summarize(results(rows, "greedy")), "prompt": prompt}
    if sampled:
        score["sampled"] = {**summarize(sampled, k), "temperature": temperature}
    return score


def results(rows: Sequence[Row], decoding: str) -> list[ItemResult]:
    return [read_row(row) for row in rows if row["decoding"] == decoding]
