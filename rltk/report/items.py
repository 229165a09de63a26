"""What the policy wrote before and after training, item by item, and what became of each verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rltk.report.read import WHEN, Row, Run

PAIRS = "pairs"
"""Beside `greedy` and `sampled`: preferences, in which the model is to score the chosen reply higher."""
UNREAD = ("unreadable", "timeout")
CHANGES = ("newly right", "newly wrong", "still right", "still wrong")
VERDICTS: dict[float | None, str] = {1.0: "right", 0.0: "wrong"}
Entry = dict[str, Any]


def entries(run: Run) -> list[Entry]:
    """One for each item and sample, with what there is of both sides; rows of kinds unknown here are left out."""
    return [entry for task, sides in run.items.items() for entry in joined(task, sides)]


def unshown(run: Run) -> int:
    """Rows of kinds that are not known here."""
    return sum(kind_of(row) is None for sides in run.items.values() for rows in sides.values() for row in rows)


def counts(found: Sequence[Entry]) -> dict[str, int]:
    """Of every change, of unreadable answers, and of all."""
    changes = Counter(entry["change"] for entry in found)
    return {
        "all": len(found),
        **{change: changes[change] for change in CHANGES if changes[change]},
        "unreadable": sum(entry["unreadable"] for entry in found),
    }


def joined(task: str, sides: dict[str, list[Row]]) -> Iterator[Entry]:
    by_key = {when: {key_of(row): row for row in sides.get(when, ()) if kind_of(row)} for when in WHEN}
    for key in dict.fromkeys(key for when in WHEN for key in by_key[when]):
        before, after = (by_key[when].get(key) for when in WHEN)
        row = after or before
        assert row is not None
        yield {
            "task": task,
            "kind": kind_of(row),
            "id": row["id"],
            "sample": row.get("sample", 0),
            "prompt": transcript(row["prompt"]),
            "gold": row.get("gold"),
            "level": row.get("level") or row.get("subset"),
            **({side: transcript(row[side]) for side in ("chosen", "rejected")} if kind_of(row) == PAIRS else {}),
            "before": side_of(before),
            "after": side_of(after),
            "change": change(before, after),
            "unreadable": any(side is not None and side.get("verdict") in UNREAD for side in (before, after)),
        }


def key_of(row: Row) -> tuple[str, str, int]:
    return str(kind_of(row)), row["id"], row.get("sample", 0)


def kind_of(row: Row) -> str | None:
    """None for what is neither a completion nor a preference."""
    if {"id", "prompt", "completion", "decoding"} <= row.keys():
        return row["decoding"]
    return PAIRS if {"id", "prompt", "chosen", "rejected", "correct"} <= row.keys() else None


def side_of(row: Row | None) -> Row | None:
    """What one evaluation says of an item."""
    if row is None:
        return None
    if kind_of(row) == PAIRS:
        return {"verdict": VERDICTS.get(worth(row), "tie"), **pair_scores(row)}
    shown = {key: row[key] for key in ("answer", "verdict", "tokens", "truncated", "reward") if key in row}
    return {"text": row["completion"], **shown}


def change(before: Row | None, after: Row | None) -> str:
    """Empty where one side is absent or is not graded as right or wrong."""
    was, is_now = (None if row is None else worth(row) for row in (before, after))
    if was is None or is_now is None:
        return ""
    if was != is_now:
        return "newly right" if is_now > was else "newly wrong"
    return f"still {VERDICTS[is_now]}" if is_now in VERDICTS else ""


def worth(row: Row) -> float | None:
    """1 for right, 0 for wrong, between them for a pair whose replies score the same; None for what is not graded."""
    chosen, rejected = pair_scores(row).values()
    if chosen is not None and chosen == rejected:
        return 0.5
    return row.get("correct")


def pair_scores(row: Row) -> dict[str, float | None]:
    return {side: row.get(f"{side}_score", row.get(f"{side}_reward")) for side in ("chosen", "rejected")}


def transcript(text: Any) -> str:
    """A prompt or reply as text; of messages, who says what."""
    if isinstance(text, str):
        return text.strip("\n")
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in text)
