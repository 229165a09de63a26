"""Win rates as a table on the terminal."""

from typing import Any

from rltk.evaluation.pairs.tables import new_table
from rltk.evaluation.tables import interval, percent, say, show, undefined

COLUMNS = (
    "A wins",
    "95 % interval",
    "n",
    "ties",
    "score of A",
    "of B",
    "A - B",
    "95 % interval",
    "tokens of A",
    "of B",
)


def show_duel(scores: dict[str, Any], names: tuple[str, str], judge: str) -> None:
    say(f"A: {names[0]}\nB: {names[1]}\njudge: {judge}")
    table = new_table(*COLUMNS)
    for task, found in scores.items():
        for decoding, score in found.items():
            low, high = score["difference_ci95"]
            table.add_row(
                f"{task}, {decoding}",
                percent(score["win_rate"]),
                interval(score["ci95"]),
                *(f"{score[key]:,}" for key in ("n", "ties")),
                *(f"{score[key]:.3f}" for key in ("a_score", "b_score")),
                f"{score['difference']:+.3f}",
                undefined(low) or f"[{low:.3f}, {high:.3f}]",
                *(f"{score[key]:,.1f}" for key in ("a_tokens", "b_tokens")),
            )
    show(table, is_whole=True)
