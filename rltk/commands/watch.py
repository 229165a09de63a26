"""`rltk watch`: how runs go on, drawn again and again on the terminal until none of them runs."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rltk.errors import UserError
from rltk.evaluation.tables import console
from rltk.report.axis import written
from rltk.report.curves import KNOWN, is_number_or_none
from rltk.report.find import read_all, row_of
from rltk.report.read import Run
from rltk.report.spark import spark
from rltk.report.table import RunRow
from rltk.report.terminal import one_line
from rltk.run.folder import LATEST, Metrics, read_jsonl

SHOWN = ("reward", "loss", "accuracy", "margin", "kl", "entropy", "completion_tokens", "truncated", "grad_norm")
"""Metrics with a line of their own, of those that a run has."""
SPEED = ("sampled_tokens_per_second", "seconds")
WIDTH = 40
MOST_DETAILED = 4
"""Runs whose metrics are shown; of more, the table alone."""
LONGEST = 240
"""Characters shown of a prompt or a completion."""


def watch(args: Namespace) -> None:
    folders = [Path(path) for path in args.paths or ("runs",)]
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        raise UserError(f"there is no folder {absent[0]}; name a run, or a folder that holds some.")
    screen = console()
    if args.once or not screen.is_terminal:
        screen.print(picture(list(wanted(folders)), screen))
        return
    follow(folders, args.every, screen)


def follow(folders: Sequence[Path], seconds: float, screen: Console) -> None:
    """Until no run of them runs any more, or Ctrl-C."""
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            runs = list(wanted(folders))
            live.update(picture(runs, screen), refresh=True)
            if all(row_of(run).status != "running" for run in runs):
                break
            time.sleep(seconds)
    print("none of them is running; rltk report shows what they came to", file=sys.stderr)


def wanted(folders: Sequence[Path]) -> Iterator[Run]:
    for folder in folders:
        yield from read_all(folder)


def picture(runs: Sequence[Run], screen: Console) -> Group:
    rows = [(run, row_of(run)) for run in runs]
    if not rows:
        return Group(Text("no runs yet"))
    # Those that run are what one watches; where there are none, the newest.
    running = [pair for pair in rows if pair[1].status == "running"]
    detailed = running or sorted(rows, key=lambda pair: pair[1].started)[-1:]
    width = max(10, min(WIDTH, screen.width - 50))
    parts = [part for run, row in detailed[:MOST_DETAILED] for part in details(run, row, width)]
    return Group(table([row for _, row in rows]), *parts)


def table(rows: Sequence[RunRow]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("run", "arm", "status", "steps", "before -> after"):
        made.add_column(column, overflow="fold", no_wrap=column != "run")
    for row in rows:
        made.add_row(*map(Text, (str(row.path), row.arm, row.shown_status, row.progress, row.change)))
    return made


def details(run: Run, row: RunRow, width: int) -> Iterator[Table]:
    yield metrics_table(run, row, width)
    latest = read_jsonl(run.path / LATEST)
    if latest:
        yield completions(latest)


def completions(latest: Sequence[Metrics]) -> Table:
    """What the newest step wrote: its reward, and below what was asked the completion."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    made.title = Text(f"\nstep {latest[0]['step']} wrote")
    made.add_column("reward", justify="right")
    made.add_column("")
    for row in latest:
        reward = "none" if row["reward"] is None else f"{row['reward']:.2f}"
        made.add_row(reward, Text(one_line(row["prompt"], LONGEST), "dim"))
        made.add_row("", Text(one_line(row["completion"], LONGEST)))
    return made


def metrics_table(run: Run, row: RunRow, width: int) -> Table:
    """Each metric with its course and its last value."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left", title=Text(f"\n{row.path}"))
    for column in ("", "", "last", "lowest", "highest"):
        made.add_column(column, justify="right" if column else "left")
    for key in (*SHOWN, *SPEED):
        values = [row[key] for row in run.metrics if is_number_or_none(row.get(key, ""))]
        defined = [value for value in values if value is not None]
        if defined:
            unit = KNOWN[key].unit
            numbers = (defined[-1], min(defined), max(defined))
            made.add_row(KNOWN[key].title, spark(values, width), *(written(value, unit) for value in numbers))
    return made
