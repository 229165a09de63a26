"""Items and their completions in; graded rows, fit for a JSON-lines file, and one summary out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import NamedTuple, TypedDict

from rltk_eval.answers import Grade, Kind, Verdict, gold_answer, grade_all
from rltk_eval.metrics import Interval, clustered_interval, mean_of_items, wilson


@dataclass(frozen=True)
class Item:
    """One problem: `question` is the prompt as it was sent, `gold` a bare answer or a solution with `####` or a box."""

    id: str
    question: str
    gold: str
    level: str | None = None
    kind: Kind = "number"


class Completion(NamedTuple):
    """What the model wrote; truncated: it was stopped by the token limit, not by itself."""

    text: str
    tokens: int
    truncated: bool


class ItemRow(TypedDict):
    """One line of `items/*.jsonl`; `answer` is null where none could be read."""

    id: str
    sample: int
    prompt: str
    completion: str
    answer: str | None
    gold: str
    verdict: str
    correct: bool
    tokens: int
    truncated: bool
    level: str | None


@dataclass(frozen=True)
class ItemResult:
    """One graded completion, the `sample`-th (from 0) of its item; answer and gold in canonical form."""

    item: Item
    completion: Completion
    sample: int
    verdict: Verdict
    answer: str | None
    gold: str

    @property
    def correct(self) -> bool:
        return self.verdict is Verdict.CORRECT

    def to_json(self) -> ItemRow:
        return {
            "id": self.item.id,
            "sample": self.sample,
            "prompt": self.item.question,
            "completion": self.completion.text,
            "answer": self.answer,
            "gold": self.gold,
            "verdict": self.verdict.value,
            "correct": self.correct,
            "tokens": self.completion.tokens,
            "truncated": self.completion.truncated,
            "level": self.item.level,
        }


class LevelScore(TypedDict):
    accuracy: float
    n: int


class Summary(TypedDict):
    """`n` counts items, `samples` completions; `correct`, `unreadable`, `timeout` and `truncated` are shares.

    `accuracy` is the mean over items of each item's share of correct samples. Undefined (no items) is nan.
    """

    accuracy: float | None
    ci95: list[float | None]
    n: int
    samples: int
    correct: float | None
    unreadable: float | None
    timeout: float | None
    truncated: float | None
    mean_tokens: float | None
    by_level: dict[str, LevelScore]


def grade_items(
    items: Sequence[Item], completions_per_item: Sequence[Sequence[Completion]], *, strict: bool = False
) -> list[ItemResult]:
    """Every completion graded, item by item; a truncated one like any other: if its answer reads, it counts."""
    if len(items) != len(completions_per_item):
        raise ValueError(f"{len(items)} items but {len(completions_per_item)} lists of completions: give one an item")
    if len({item.id for item in items}) < len(items):
        raise ValueError("item ids must be unique: samples are grouped by them")
    asked = [
        (item, gold, completion, sample)
        for item, completions in zip(items, completions_per_item, strict=True)
        for gold in [_gold_of(item, completions)]
        for sample, completion in enumerate(completions)
    ]
    grades: dict[int, Grade] = {}
    kinds: set[Kind] = {item.kind for item in items}
    for kind in kinds:  # all of a kind at once: mathematical answers are checked in parallel
        rows = [row for row, (item, *_) in enumerate(asked) if item.kind == kind]
        texts, golds = [asked[row][2].text for row in rows], [asked[row][1] for row in rows]
        grades |= dict(zip(rows, grade_all(texts, golds, kind=kind, strict=strict), strict=True))
    return [
        ItemResult(item, completion, sample, grades[row].verdict, grades[row].answer, gold)
        for row, (item, gold, completion, sample) in enumerate(asked)
    ]


def summarize(results: Sequence[ItemResult]) -> Summary:
    """The scores of a task: Wilson's interval for one sample an item, the clustered one for several."""
    by_item = _correct_by_item(results)
    levels = sorted({result.item.level for result in results if result.item.level is not None})
    return {
        "accuracy": mean_of_items(by_item),
        "ci95": [*_interval(by_item)],
        "n": len(by_item),
        "samples": len(results),
        "correct": _mean([result.correct for result in results]),
        "unreadable": _mean([result.verdict is Verdict.UNREADABLE for result in results]),
        "timeout": _mean([result.verdict is Verdict.TIMEOUT for result in results]),
        "truncated": _mean([result.completion.truncated for result in results]),
        "mean_tokens": _mean([result.completion.tokens for result in results]),
        "by_level": {level: _level_score([r for r in results if r.item.level == level]) for level in levels},
    }


def summary_to_json(summary: Summary) -> Summary:
    """The same summary with null for what is undefined, since JSON has no nan."""
    return {
        **summary,
        "accuracy": _null_if_nan(summary["accuracy"]),
        "ci95": [_null_if_nan(bound) for bound in summary["ci95"]],
        "correct": _null_if_nan(summary["correct"]),
        "unreadable": _null_if_nan(summary["unreadable"]),
        "timeout": _null_if_nan(summary["timeout"]),
        "truncated": _null_if_nan(summary["truncated"]),
        "mean_tokens": _null_if_nan(summary["mean_tokens"]),
    }


def _gold_of(item: Item, completions: Sequence[Completion]) -> str:
    if not completions:
        raise ValueError(f"item {item.id!r} has no completions: leave it out, or sample it")
    try:
        return gold_answer(item.gold, kind=item.kind)
    except ValueError as error:
        raise ValueError(f"item {item.id!r}: {error}") from error


def _correct_by_item(results: Sequence[ItemResult]) -> list[list[bool]]:
    by_id: dict[str, list[bool]] = {}
    for result in results:
        by_id.setdefault(result.item.id, []).append(result.correct)
    return list(by_id.values())


def _interval(by_item: list[list[bool]]) -> Interval:
    """95% interval of the accuracy, inside [0, 1].

    All samples correct, or none, leaves the clustered interval without width, which claims too much: then Wilson's on
    the number of items, as if each item had been sampled once.
    """
    mean = mean_of_items(by_item)
    if all(len(correct) == 1 for correct in by_item) or mean in (0.0, 1.0):
        return wilson(sum(all(correct) for correct in by_item), len(by_item))
    low, high = clustered_interval(by_item)
    return Interval(max(low, 0.0), min(high, 1.0))


def _level_score(results: list[ItemResult]) -> LevelScore:
    by_item = _correct_by_item(results)
    return {"accuracy": mean_of_items(by_item), "n": len(by_item)}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan


def _null_if_nan(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value
