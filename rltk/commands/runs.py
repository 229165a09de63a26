"""`rltk runs`: what runs there are, how far they are, and what they came to."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from rltk.errors import UserError
from rltk.evaluation.tables import say, show
from rltk.report.find import find_runs
from rltk.report.table import RunRow, to_json, when

FILTERS = ("name", "algo", "arm", "status")
COLUMNS = ("run", "algo", "arm", "status", "steps", "before -> after", "started")


def runs(args: Namespace) -> None:
    folder = Path(args.folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; name the one that holds runs.")
    rows = [row for row in find_runs(folder) if is_wanted(row, args)]
    rows.sort(key=lambda row: order(row, args.sort))
    if args.json:
        print(json.dumps([to_json(row) for row in rows]))
    elif rows:
        show(run_table(rows), is_whole=not sys.stdout.isatty())
    else:
        say(f"no runs in {folder}")


def is_wanted(row: RunRow, args: Namespace) -> bool:
    return all(getattr(args, key) in (None, getattr(row, key)) for key in FILTERS)


def order(row: RunRow, key: str) -> tuple[bool, float | str, str]:
    """What has no value comes first, as what is newest or best comes last, just above the prompt."""
    value = getattr(row, key)
    return value is not None, "" if value is None else value, row.started


def run_table(rows: list[RunRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in COLUMNS:
        is_number = column in ("steps", "before -> after")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=column != "run")
    for row in rows:
        cells = (str(row.path), row.algo, row.arm, row.shown_status, row.progress, row.change, when(row.started))
        table.add_row(*map(Text, cells))  # a folder's name is no markup
    return table
