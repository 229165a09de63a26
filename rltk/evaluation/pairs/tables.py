"""Accuracy of reward models as tables on the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from rltk.evaluation.tables import interval, percent, say, show, undefined

Score = dict[str, Any]


def show_pair_scores(name: str, scores: dict[str, Score]) -> None:
    for task, score in scores.items():
        say(f"{task}: {name}")
        table = new_table("accuracy", "95 % interval", "pairs", "prompts", "ties", "truncated")
        for label, found in lines(score):
            cells = [percent(found["accuracy"]), interval(found["ci95"])]
            counts = [f"{found[key]:,}" for key in ("n", "prompts", "ties")]
            table.add_row(label, *cells, *counts, percent(found["truncated"]) if "truncated" in found else "")
        show(table, is_whole=True)
        say(about_length(score))


def lines(score: Score) -> Iterator[tuple[str, Score]]:
    yield "this model", score
    yield f"always the {score['length_baseline']['prefers']} reply", score["length_baseline"]
    for subset, found in score["by_subset"].items():
        yield f"  {subset}", found


def about_length(score: Score) -> str:
    lead, bias = score["lead"], score["length_bias"]
    points = undefined(lead["difference"]) or f"{100 * lead['difference']:+.1f} points {interval(lead['ci95'])}"
    within = undefined(bias["pearson_within"]) or f"{bias['pearson_within']:+.2f}"
    return f"lead over length alone: {points}; correlation of score and length within prompts: {within}"


def show_pair_comparison(
    comparison: dict[str, Score], names: Sequence[str], scores: Sequence[dict[str, Score]]
) -> None:
    say(f"A: {names[0]}\nB: {names[1]}")
    table = new_table("A", "B", "A - B", "95 % interval", "right in A alone", "in B alone", "pairs")
    for task, found in comparison.items():
        difference = undefined(found["difference"]) or f"{100 * found['difference']:+.1f}"
        counts = [f"{found[key]:,}" for key in ("only_a", "only_b", "n")]
        shares = [percent(side[task]["accuracy"]) for side in scores]
        table.add_row(task, *shares, difference, interval(found["ci95"]), *counts)
    show(table, is_whole=True)


def new_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table
