"""Two evaluations on the same items, with the same sampling streams: what differs, and how surely."""

from collections.abc import Mapping, Sequence
from typing import Any

from rltk_eval.grading import ItemResult
from rltk_eval.paired import Paired, compare
from rltk_eval.summary import grouped

from rltk.errors import UserError
from rltk.evaluation.items import Row, results
from rltk.evaluation.settings import STREAMS, Settings

Golds = Mapping[str, str]
"""Gold answers by item id."""


def refuse_other_settings(a: Settings, b: Settings, *, names: tuple[str, str]) -> None:
    """Refuses what was not sampled alike; where settings are not known, the items alone must agree."""
    for key in STREAMS:
        if key in a and key in b and a[key] != b[key]:
            raise UserError(
                f"{names[0]} and {names[1]} cannot be compared: {key} is {a[key]} in the one and {b[key]} in the other."
            )


def refuse_other_items(task: str, a: Golds, b: Golds, *, names: tuple[str, str]) -> None:
    """Refuses items that are not the same, saying how they differ."""
    begin = f"{names[0]} and {names[1]} cannot be compared on {task}"
    if len(a) != len(b):
        longer, shorter = (a, b) if len(a) > len(b) else (b, a)
        alone = next(item for item in longer if item not in shorter)
        raise UserError(f"{begin}: {len(a)} items against {len(b)}; {alone} is in one of them only.")
    for item, gold in a.items():
        if item not in b:
            raise UserError(f"{begin}: {item} is in {names[0]} only.")
        if b[item] != gold:
            raise UserError(f"{begin}: the gold answer of {item} is {gold} in the one and {b[item]} in the other.")


def golds_of(rows: Sequence[Row]) -> dict[str, str]:
    return {row["id"]: row["gold"] for row in rows}


def compare_rows(a: Sequence[Row], b: Sequence[Row]) -> dict[str, Any]:
    """The paired difference of what both have: greedy completions, samples."""
    found: dict[str, Any] = {}
    for decoding in ("greedy", "sampled"):
        left, right = by_item(results(a, decoding)), by_item(results(b, decoding))
        if left and right:
            found[decoding] = to_json(compare([left[item] for item in left], [right[item] for item in left]))
    return found


def by_item(found: Sequence[ItemResult]) -> dict[str, list[float]]:
    groups = grouped(found, lambda result: result.item.id)
    return {item: [float(result.correct) for result in group] for item, group in groups.items()}


def to_json(paired: Paired) -> dict[str, Any]:
    """`difference` and `ci95` are of accuracies, A less B; `only_a` and `only_b` count items on which one is better."""
    return {
        "difference": paired.difference,
        "ci95": [*paired.interval],
        "p": paired.p,
        "test": "clustered by item" if paired.is_clustered else "exact McNemar",
        "n": paired.items,
        "only_a": paired.only_a,
        "only_b": paired.only_b,
    }
