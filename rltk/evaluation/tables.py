"""Scores and comparisons as tables on the terminal."""

import sys
from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

FEW = 7
"""Levels or subjects that are shown without being asked for; MATH has seven subjects."""
WIDTH = 120
"""Columns where there is no terminal to ask."""
BREAKDOWNS = ("level", "subject")
Score = dict[str, Any]


class Line(NamedTuple):
    label: str
    score: Score
    is_last: bool = False
    """Of its section."""


def show_scores(name: str, scores: dict[str, Score], by: Sequence[str]) -> None:
    for task, score in scores.items():
        prompt = score["prompt"]
        asked = "" if prompt is None else f", asked {prompt['name']} ({prompt['hash']})"
        say(f"{task}: {name}{asked}")
        show(score_table(score, by))


def score_table(score: Score, by: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for column in ("accuracy", "95 % interval", "n", "tokens", "truncated", "unreadable", "timeout"):
        table.add_column(column, justify="right")
    for line in lines(score, by):
        table.add_row(line.label, *cells(line.score), end_section=line.is_last)
    return table


def lines(score: Score, by: Sequence[str]) -> Iterator[Line]:
    yield Line("greedy", score)
    if "sampled" in score:
        sampled = score["sampled"]
        heat = "" if sampled["temperature"] is None else f" at temperature {sampled['temperature']}"
        yield Line(f"sampled, {sampled['samples'] // max(1, sampled['n'])}{heat}", sampled)
        yield from (Line(f"  pass@{k}", found) for k, found in sampled["pass_at_k"].items())
        yield from (Line(f"  maj@{k}", found) for k, found in sampled["maj_at_k"].items())
    for breakdown in BREAKDOWNS:
        found: dict[str, Score] = score[f"by_{breakdown}"]
        if breakdown in by or 1 < len(found) <= FEW:
            yield from (Line(f"  greedy, {breakdown} {name}", part) for name, part in found.items())


def cells(score: Score) -> list[str]:
    """What a score has of the columns; pass@k and its like have no lengths of their own."""
    shown = [percent(score["accuracy"]), interval(score["ci95"]), f"{score['n']:,}"]
    if "mean_tokens" in score:
        shown.append(undefined(score["mean_tokens"]) or f"{score['mean_tokens']:,.1f}")
        shown += [percent(score[key]) for key in ("truncated", "unreadable", "timeout")]
    return shown


def show_comparison(comparison: dict[str, Any], names: tuple[str, str], scores: Sequence[dict[str, Score]]) -> None:
    say(f"A: {names[0]}\nB: {names[1]}")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    for column in ("A", "B", "A - B", "95 % interval", "better in A", "in B", "n", "p"):
        table.add_column(column, justify="right")
    for task, found in comparison.items():
        for decoding, paired in found.items():
            sides = [side[task] if decoding == "greedy" else side[task]["sampled"] for side in scores]
            table.add_row(f"{task}, {decoding}", *(percent(side["accuracy"]) for side in sides), *differences(paired))
    show(table)


def differences(paired: Score) -> list[str]:
    p = undefined(paired["p"]) or f"{paired['p']:.2g}"
    counts = [f"{paired[key]:,}" for key in ("only_a", "only_b", "n")]
    difference = undefined(paired["difference"]) or f"{100 * paired['difference']:+.1f}"
    return [difference, interval(paired["ci95"]), *counts, f"{p} ({paired['test']})"]


def percent(share: float) -> str:
    return undefined(share) or f"{share:.1%}"


def interval(bounds: Sequence[float]) -> str:
    low, high = bounds
    return undefined(low) or f"[{100 * low:.1f}, {100 * high:.1f}]"


def undefined(value: float) -> str:
    """`-` for what is undefined, nothing for what is not."""
    return "-" if isnan(value) else ""


def say(text: str) -> None:
    console().print(Text(text), soft_wrap=True)


def show(table: Table, *, is_whole: bool = False) -> None:
    """`is_whole`: no cell is broken up, however narrow the screen."""
    screen = console()
    needed = screen.measure(table, options=screen.options.update(width=1000))
    screen.width = max(screen.width, needed.maximum if is_whole else needed.minimum)  # print's width can only narrow it
    screen.print(table)


def console() -> Console:
    """Stdout; FORCE_COLOR, which many CI systems set, must not put escape codes into a pipe."""
    is_terminal = sys.stdout.isatty()
    return Console(highlight=False, force_terminal=is_terminal or False, width=None if is_terminal else WIDTH)
