"""`rltk watch`: how runs go on, drawn again and again on the terminal until none of them runs."""

import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
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
"""Metrics of learning with a line of their own, of those that a run has."""
METRICS = (*SHOWN, "sampled_tokens_per_second", "seconds", "peak_memory_bytes")
"""All that have one; on a small screen the first of them."""
WIDTH = 40
MOST_DETAILED = 4
"""Runs whose metrics are shown; of more, the table alone."""
LEAST_LISTED = 3
"""Rows that the table of all runs has on a screen that is too small for everything."""
AROUND = 3
"""Lines above the metrics of a run: a blank, its folder, the names of columns."""
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
    """Until no run of them runs any more, or Ctrl-C; never more than the screen holds."""
    with Live(console=screen, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            runs = list(wanted(folders))
            live.update(fitted(runs, screen), refresh=True)
            if all(row_of(run).status != "running" for run in runs):
                break
            time.sleep(seconds)
    print("none of them is running; rltk report shows what they came to", file=sys.stderr)


def wanted(folders: Sequence[Path]) -> Iterator[Run]:
    for folder in folders:
        yield from read_all(folder)


def picture(runs: Sequence[Run], screen: Console) -> Group:
    """All there is, for a terminal that scrolls: what one watches comes last, above the prompt."""
    rows = by_interest(runs)
    if not rows:
        return Group(Text("no runs yet"))
    width = width_of(screen)
    listed = table([row for _, row in sorted(rows, key=lambda pair: str(pair[1].path))])
    return Group(listed, *(part for run, row in detailed(rows) for part in details(run, row, width)))


def fitted(runs: Sequence[Run], screen: Console) -> Group:
    """What one watches comes first: metrics, then completions and the other runs as far as there is room."""
    rows = by_interest(runs)
    if not rows:
        return Group(Text("no runs yet"))
    least = min(LEAST_LISTED, len(rows)) + 2  # with the names of columns, and how many more there are
    room = screen.height - 1 - least
    shown = detailed(rows)[: max(1, room // (AROUND + 1))]
    most = max(1, room // len(shown) - AROUND)
    parts: list[RenderableType] = [metrics_table(run, row, width_of(screen), most) for run, row in shown]
    for run, _ in shown:
        parts += written_by(run, room - height(parts, screen), screen, is_named=len(shown) > 1)
    return Group(*parts, *listed([row for _, row in rows], screen.height - 1 - height(parts, screen), screen))


def by_interest(runs: Sequence[Run]) -> list[tuple[Run, RunRow]]:
    """Those that run, then the newest first."""
    rows = sorted(((run, row_of(run)) for run in runs), key=lambda pair: pair[1].started, reverse=True)
    return sorted(rows, key=lambda pair: pair[1].status != "running")


def detailed(rows: Sequence[tuple[Run, RunRow]]) -> list[tuple[Run, RunRow]]:
    """Those that run are what one watches; where there are none, the newest."""
    running = [pair for pair in rows if pair[1].status == "running"]
    return running[:MOST_DETAILED] or list(rows[:1])


def width_of(screen: Console) -> int:
    """Characters of a metric's course."""
    return max(10, min(WIDTH, screen.width - 50))


def height(parts: Sequence[RenderableType], screen: Console) -> int:
    return sum(len(screen.render_lines(part)) for part in parts)


def written_by(run: Run, room: int, screen: Console, *, is_named: bool) -> list[Group]:
    """As many of its newest completions as there are lines for."""
    latest = read_jsonl(run.path / LATEST)
    tables = (completions(latest[:count], str(run.path) if is_named else "") for count in range(len(latest), 0, -1))
    return next(([made] for made in tables if height([made], screen) <= room), [])


def listed(rows: Sequence[RunRow], room: int, screen: Console) -> list[RenderableType]:
    """The first of them, and how many more there are."""
    for count in range(min(len(rows), room), 0, -1):
        more = len(rows) - count
        parts: list[RenderableType] = [Text(), table(rows[:count])]
        parts += [Text(f"and {more} more: rltk runs", "dim")] if more else []
        if height(parts, screen) <= room:
            return parts
    return []


def table(rows: Sequence[RunRow]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("run", "arm", "status", "steps", "before -> after"):
        made.add_column(column, overflow="fold", no_wrap=column != "run")
    for row in rows:
        made.add_row(*map(Text, (str(row.path), row.arm, row.shown_status, row.progress, row.change)))
    return made


def details(run: Run, row: RunRow, width: int) -> Iterator[Group]:
    yield metrics_table(run, row, width, len(METRICS))
    latest = read_jsonl(run.path / LATEST)
    if latest:
        yield completions(latest)


def completions(latest: Sequence[Metrics], of: str = "") -> Group:
    """What the newest step wrote: its reward, and below what was asked the completion."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column("reward", justify="right")
    made.add_column("")
    for row in latest:
        reward = "none" if row["reward"] is None else f"{row['reward']:.2f}"
        made.add_row(reward, Text(one_line(row["prompt"], LONGEST), "dim"))
        made.add_row("", Text(one_line(row["completion"], LONGEST)))
    return titled(f"{of} step {latest[0]['step']} wrote".strip(), made)


def titled(words: str, made: Table) -> Group:
    """Not by a title of the table, which would be folded to the table's width."""
    return Group(Text(f"\n{words}", "italic"), made)


def metrics_table(run: Run, row: RunRow, width: int, most: int) -> Group:
    """The first `most` of its metrics, each with its course and its last value."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "", "last", "lowest", "highest"):
        made.add_column(column, justify="right" if column else "left")
    courses = {key: [row[key] for row in run.metrics if is_number_or_none(row.get(key, ""))] for key in METRICS}
    known = [(KNOWN[key], values) for key, values in courses.items() if any(value is not None for value in values)]
    for metric, values in known[:most]:
        defined = [value for value in values if value is not None]
        numbers = (defined[-1], min(defined), max(defined))
        made.add_row(metric.title, spark(values, width), *(written(value, metric.unit) for value in numbers))
    return titled(str(row.path), made)
