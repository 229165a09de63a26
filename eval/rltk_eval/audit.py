"""Is the checker right? Completions with a label in; counts of where checker and label differ out, with examples."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from rltk_eval.answers import Grade, Kind, Verdict, gold_answer
from rltk_eval.boxes import last_boxes
from rltk_eval.grading import grade_by_kind

EXAMPLES = 10
"""Of each kind."""
HEAD, TAIL = 80, 240
"""Characters shown of a longer text: the answer mostly stands at the end."""

FALSE_NEGATIVE, FALSE_POSITIVE = "labelled correct, not judged correct", "labelled incorrect, judged correct"
NO_GOLD, TIMEOUT = "its gold answer does not read", "its check ran over time or memory"


class Labelled(NamedTuple):
    """A completion, and whether it is right; `gold` a bare answer or a solution that ends in one.

    `place` says where it stands, for people.
    """

    place: str
    completion: str
    gold: str
    correct: bool
    kind: Kind = "number"
    question: str | None = None


class Judged(NamedTuple):
    """What the checker said of a row; `gold` is None if that does not read. `why`: what is odd, None if nothing is."""

    row: Labelled
    gold: str | None
    grade: Grade
    why: str | None


class Example(TypedDict):
    """`label`: correct or incorrect; `answer`: what was read, null if nothing; question and completion shortened."""

    place: str
    why: str
    question: str | None
    completion: str
    gold: str | None
    answer: str | None
    verdict: str
    label: str


class Audit(TypedDict):
    """Counts of rows; n = agree + false_negative + false_positive, and unreadable and timeout may be any of these."""

    n: int
    agree: int
    false_negative: int
    false_positive: int
    unreadable: int
    timeout: int
    examples: list[Example]


def audit(rows: Sequence[Labelled], *, examples: int = EXAMPLES) -> Audit:
    """Every completion graded and held against its label."""
    return count(judge(rows), examples=examples)


def judge(rows: Sequence[Labelled]) -> list[Judged]:
    """A row whose gold does not read is not graded: it is unreadable."""
    golds = [_gold_or_none(row) for row in rows]
    known = [(row, gold) for row, gold in zip(rows, golds, strict=True) if gold is not None]
    texts = [row.completion for row, _ in known]
    kinds: list[Kind] = [row.kind for row, _ in known]
    grades = iter(grade_by_kind(texts, [gold for _, gold in known], kinds))
    graded = [Grade(Verdict.UNREADABLE, None) if gold is None else next(grades) for gold in golds]
    return [
        Judged(row, gold, grade, _oddity(row, gold, grade))
        for row, gold, grade in zip(rows, golds, graded, strict=True)
    ]


def count(judged: Sequence[Judged], *, examples: int = EXAMPLES) -> Audit:
    """Counts, and the first `examples` rows of each oddity."""
    verdicts = Counter(one.grade.verdict for one in judged)
    outcomes = Counter((one.row.correct, one.grade.correct) for one in judged)
    return {
        "n": len(judged),
        "agree": outcomes[True, True] + outcomes[False, False],
        "false_negative": outcomes[True, False],
        "false_positive": outcomes[False, True],
        "unreadable": verdicts[Verdict.UNREADABLE],
        "timeout": verdicts[Verdict.TIMEOUT],
        "examples": [example for group in by_oddity(judged).values() for example in map(_example, group[:examples])],
    }


def by_oddity(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The rows of which something is odd, by what it is, in order of first appearance."""
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        if one.why is not None:
            groups.setdefault(one.why, []).append(one)
    return groups


def as_completion(solution: str, kind: Kind) -> str:
    """A gold solution as a model would have to write it: a bare answer is announced as the reader expects."""
    if last_boxes(solution, 1) or (kind == "number" and "####" in solution):
        return solution
    return f"#### {solution}" if kind == "number" else rf"\boxed{{{solution}}}"


def shorten(text: str) -> str:
    """Beginning and end of a long text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} ... {text[-TAIL:]}"


def _gold_or_none(row: Labelled) -> str | None:
    try:
        return gold_answer(row.gold, kind=row.kind)
    except ValueError:
        return None


def _oddity(row: Labelled, gold: str | None, grade: Grade) -> str | None:
    if gold is None:
        return NO_GOLD
    if grade.verdict is Verdict.TIMEOUT:
        return TIMEOUT
    if row.correct == grade.correct:
        return None
    return FALSE_NEGATIVE if row.correct else FALSE_POSITIVE


def _example(judged: Judged) -> Example:
    row, gold, grade, why = judged
    assert why is not None
    return {
        "place": row.place,
        "why": why,
        "question": None if row.question is None else shorten(row.question),
        "completion": shorten(row.completion),
        "gold": gold,
        "answer": grade.answer,
        "verdict": grade.verdict.value,
        "label": "correct" if row.correct else "incorrect",
    }
