"""A comparison on the terminal: the verdict in a sentence, then the arms."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from rltk.compare.estimate import Pace
from rltk.compare.plan import CONTROL, Planned
from rltk.evaluation.tables import say, show
from rltk.recipe.sections.compare import SHARES
from rltk.run.progress import duration

Conclusion = dict[str, Any]
COLUMNS = ("lr", "score", "difference", "interval", "verdict", "best lr", "ratio", "seconds", "memory")


def show_conclusion(found: Conclusion, spent: dict[str, dict[str, Any]]) -> None:
    say(found["sentence"])
    say("")
    show(arm_table(found, spent))
    say("")
    for verdict in found["verdicts"].values():
        say(verdict["sentence"])
    for note in found["notes"]:
        say(f"note: {note}")


def arm_table(found: Conclusion, spent: dict[str, dict[str, Any]]) -> Table:
    is_share = found["metric"] in SHARES
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "verdict" else "right")
    start = list(found["start"].values())
    table.add_row("start", "", shown(sum(start) / len(start), is_share=is_share))
    for arm, row in found["arms"].items():
        name = f"{CONTROL} ({row['of']})" if arm == CONTROL else arm
        against = verdict_cells(found["verdicts"].get(arm), is_share=is_share)
        cells = [*optimum_cells(found["optima"].get(arm)), *cost_cells(spent.get(arm))]
        table.add_row(name, f"{row['lr']:g}", shown(row["score"], is_share=is_share), *against, *cells)
    return table


def verdict_cells(verdict: dict[str, Any] | None, *, is_share: bool) -> list[str]:
    if verdict is None:
        return ["", "", ""]
    low, high = verdict["interval"]
    interval = "-" if low is None else f"[{gained(low, is_share)}, {gained(high, is_share)}]"
    return [gained(verdict["difference"], is_share), interval, verdict["verdict"].replace("_", " ")]


def gained(difference: float, is_share: bool) -> str:
    """In points, or in what the score counts."""
    return f"{100 * difference:+.1f}" if is_share else f"{difference:+.4f}"


def optimum_cells(optimum: dict[str, Any] | None) -> list[str]:
    if optimum is None or optimum["optimum"] is None:
        return ["-", "-"]
    ratio = optimum["ratio_to_reference"]
    return [f"{optimum['optimum']:.2g}{within(optimum['interval'])}", "-" if ratio is None else f"{ratio:.2g}x"]


def within(interval: list[float | None]) -> str:
    low, high = interval
    return "" if low is None or high is None else f" [{low:.1g}, {high:.1g}]"


def cost_cells(spent: dict[str, Any] | None) -> list[str]:
    if spent is None:
        return ["-", "-"]
    memory = spent["peak_memory_bytes"]
    return [f"{spent['seconds']:.1f}", "-" if memory is None else f"{memory / 2**30:.2f} GiB"]


def shown(score: float, *, is_share: bool) -> str:
    return f"{score:.1%}" if is_share else f"{score:.4f}"


def show_plan(rows: list[tuple[Planned, str]], between: int, later: int, pace: Pace, jobs: int, seconds: float) -> None:
    """The runs that are known by now, what became of them, and how long it will take to make what is left: with so many
    `between` rates that the sweep has yet to find, and so many `later`."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("phase", "arm", "lr", "seed", "steps", "status"):
        table.add_column(column, justify="right" if column in ("lr", "seed", "steps") else "left")
    for run, status in rows:
        table.add_row(run.phase, run.arm, f"{run.lr:g}", str(run.seed), str(run.recipe.optim.steps), status)
    show(table)
    if between:
        say(f"then {between} tuning runs at rates halfway between each arm's best and its neighbors")
    if later:
        say(f"then {later} confirmation runs at the best learning rates, the margin fixed before the first")
    left = between + later + sum(status in ("absent", "unfinished") for _, status in rows)
    say(
        f"{left} runs to make, {jobs} at a time: about {duration(seconds)} "
        f"({pace.overhead:.1f} s a run and {pace.step:.2f} s a step), and more where the sweep has to be extended"
    )
