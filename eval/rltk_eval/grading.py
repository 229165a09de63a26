"""Items and their completions in; graded rows, fit for a JSON-lines file, out. `summary.py` sums them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

from rltk_eval.answers import Grade, Kind, Verdict, gold_answer, grade_all


@dataclass(frozen=True)
class Item:
    """One problem: `question` is the prompt as it was sent, `gold` a bare answer or a solution with `####` or a box.

    `kind` says how answers are read; `level` and `subject` are what a summary breaks its accuracy down by.
    """

    id: str
    question: str
    gold: str
    level: str | None = None
    kind: Kind = "number"
    subject: str | None = None


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
    subject: str | None


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
            "subject": self.item.subject,
        }


def grade_items(
    items: Sequence[Item], completions_per_item: Sequence[Sequence[Completion]], *, strict: bool = False
) -> list[ItemResult]:
    """Every completion graded, item by item; a truncated one like any other: if its answer reads, it counts."""
    if len(items) != len(completions_per_item):
        raise ValueError(f"{len(items)} items but {len(completions_per_item)} lists of completions: give one an item")
    if len({item.id for item in items}) < len(items):
        raise ValueError("item ids must be unique: samples are grouped by them")
    golds = [canonical_gold(item) for item in items]
    work = [
        (item, gold, completion, sample)
        for item, gold, completions in zip(items, golds, completions_per_item, strict=True)
        for sample, completion in enumerate(sampled(item, completions))
    ]
    grades = grade_by_kind(
        [completion.text for _, _, completion, _ in work],
        [gold for _, gold, _, _ in work],
        [item.kind for item, _, _, _ in work],
        strict=strict,
    )
    return [
        ItemResult(item, completion, sample, grade.verdict, grade.answer, gold)
        for (item, gold, completion, sample), grade in zip(work, grades, strict=True)
    ]


def grade_by_kind(
    completions: Sequence[str], golds: Sequence[str], kinds: Sequence[Kind], *, strict: bool = False
) -> list[Grade]:
    """Grades in order; all completions of a kind go to their reader in one call, which may use processes."""
    grades: dict[int, Grade] = {}
    for kind in dict.fromkeys(kinds):
        rows = [row for row, other in enumerate(kinds) if other == kind]
        found = grade_all([completions[row] for row in rows], [golds[row] for row in rows], kind=kind, strict=strict)
        grades.update(zip(rows, found, strict=True))
    return [grades[row] for row in range(len(completions))]


def read_row(row: Mapping[str, Any]) -> ItemResult:
    """The result that `to_json` wrote; ValueError where a row of `items/*.jsonl` lacks something it must have."""
    try:
        item = Item(row["id"], row["prompt"], row["gold"], row.get("level"), subject=row.get("subject"))
        completion = Completion(row["completion"], row["tokens"], row["truncated"])
        return ItemResult(item, completion, row["sample"], Verdict(row["verdict"]), row["answer"], row["gold"])
    except KeyError as error:
        raise ValueError(f"a row without {error.args[0]}") from error


def canonical_gold(item: Item) -> str:
    try:
        return gold_answer(item.gold, kind=item.kind)
    except ValueError as error:
        raise ValueError(f"item {item.id!r}: {error}") from error


def sampled(item: Item, completions: Sequence[Completion]) -> Sequence[Completion]:
    if not completions:
        raise ValueError(f"item {item.id!r} has no completions: leave it out, or sample it")
    return completions
