"""What graded rows come to: accuracy with its interval, pass@k, maj@k, and shares of what went wrong."""

from collections.abc import Callable, Sequence
from math import isnan, nan
from statistics import fmean
from typing import Any, TypedDict

from rltk_eval.answers import Verdict
from rltk_eval.grading import ItemResult
from rltk_eval.metrics import Interval, clustered_interval, majority, mean_of_items, pass_at_k, wilson


class Score(TypedDict):
    """A mean over `n` items with its 95 % interval; nan where it is undefined."""

    accuracy: float
    ci95: list[float]
    n: int


class Summary(TypedDict):
    """`n` counts items, `samples` completions; `correct`, `unreadable`, `timeout` and `truncated` are shares of these.

    `accuracy` is the mean over items of each item's share of correct samples. Undefined (no items) is nan.
    """

    accuracy: float
    ci95: list[float]
    n: int
    samples: int
    correct: float
    unreadable: float
    timeout: float
    """Answers that could not be compared with the gold in the time or memory allowed; they count as wrong."""
    truncated: float
    mean_tokens: float
    by_level: dict[str, Score]
    by_subject: dict[str, Score]
    pass_at_k: dict[str, Score]
    """Share of items of which k draws hold a right answer, by k; undefined where an item has fewer samples."""
    maj_at_k: dict[str, Score]
    """Share of items whose first k samples vote for a right answer, by k; undefined likewise."""


def summarize(results: Sequence[ItemResult], k: Sequence[int] = ()) -> Summary:
    """The scores of a task: Wilson's interval for one sample an item, the clustered one for several."""
    by_item = grouped(results, lambda result: result.item.id)
    return {
        **score([[float(result.correct) for result in group] for group in by_item.values()]),
        "samples": len(results),
        "correct": share(results, lambda result: result.correct),
        "unreadable": share(results, lambda result: result.verdict is Verdict.UNREADABLE),
        "timeout": share(results, lambda result: result.verdict is Verdict.TIMEOUT),
        "truncated": share(results, lambda result: result.completion.truncated),
        "mean_tokens": fmean(result.completion.tokens for result in results) if results else nan,
        "by_level": broken_down(results, lambda result: result.item.level),
        "by_subject": broken_down(results, lambda result: result.item.subject),
        "pass_at_k": {str(draws): score([[passed(group, draws)] for group in by_item.values()]) for draws in k},
        "maj_at_k": {str(draws): score([[voted(group, draws)] for group in by_item.values()]) for draws in k},
    }


def passed(group: Sequence[ItemResult], k: int) -> float:
    """pass@k of one item."""
    return pass_at_k(len(group), sum(result.correct for result in group), k)


def voted(group: Sequence[ItemResult], k: int) -> float:
    """maj@k of one item: 1 if the vote of its first k samples is right, 0 if not or if none reads; nan if n < k.

    Answers are equal where their canonical forms are. A tie goes to the answer that came first.
    """
    if k < 1:
        raise ValueError(f"k ({k}) must be at least 1")
    if len(group) < k:
        return nan
    elected = majority([result.answer for result in group[:k]])
    verdicts = {result.answer: result.correct for result in reversed(group[:k]) if result.answer is not None}
    return float(elected is not None and verdicts[elected])


def score(values_by_item: Sequence[Sequence[float]]) -> Score:
    """The mean over items of each item's mean, and its 95 % interval inside [0, 1].

    Wilson's where an item is right or wrong, the clustered one where it has several samples or a share. If all is
    right, or nothing, the clustered one would have no width, which claims too much: then Wilson's on the number of
    items, as if each had been sampled once.
    """
    mean = mean_of_items(values_by_item)
    if isnan(mean):
        interval = Interval(nan, nan)
    elif mean in (0.0, 1.0) or all(len(values) == 1 and values[0] in (0.0, 1.0) for values in values_by_item):
        interval = wilson(sum(all(values) for values in values_by_item), len(values_by_item))
    else:
        low, high = clustered_interval(values_by_item)
        interval = Interval(max(low, 0.0), min(high, 1.0))
    return {"accuracy": mean, "ci95": [*interval], "n": len(values_by_item)}


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """The same summary with null for what is undefined, since JSON has no nan."""
    return null_for_nan(dict(summary))


def null_for_nan(value: Any) -> Any:
    match value:
        case float():
            return None if isnan(value) else value
        case dict():
            return {key: null_for_nan(item) for key, item in value.items()}
        case list():
            return [null_for_nan(item) for item in value]
        case _:
            return value


def broken_down(results: Sequence[ItemResult], key: Callable[[ItemResult], str | None]) -> dict[str, Score]:
    """The score of each level or subject, in order of its name; items that have none are left out."""
    found: dict[str, Score] = {}
    for name, part in sorted(grouped([r for r in results if key(r) is not None], lambda r: str(key(r))).items()):
        by_item = grouped(part, lambda result: result.item.id)
        found[name] = score([[float(result.correct) for result in group] for group in by_item.values()])
    return found


def grouped(results: Sequence[ItemResult], key: Callable[[ItemResult], str]) -> dict[str, list[ItemResult]]:
    groups: dict[str, list[ItemResult]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def share(results: Sequence[ItemResult], holds: Callable[[ItemResult], bool]) -> float:
    return fmean(map(holds, results)) if results else nan
