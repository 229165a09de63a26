r"""Text in, verdict out: what a correct answer is, decided here once for RL rewards and for evaluation.

Where a completion's answer is looked for, first that applies (what follows the last `</think>`, if there is one):

1. `#### 72`, as GSM8K writes it. All such lines must agree: listing several answers is a reward hack, so it reads as
   nothing. A line that has no number, or starts with other words ("#### Step 2: add") or as a numbered heading
   ("#### 2. Add"), is passed over as a markdown heading, unless it ends the text.
2. the last `\boxed{72}`; two different ones side by side ("\boxed{3} or \boxed{4}") read as nothing.
3. the last "the answer is 72" or "answer: 72" that a number follows.      } not when
4. the last number in the text.                                            } `strict`

The first place found decides: an answer announced there that does not read is UNREADABLE, and no later place is tried.
An answer is one number, with units, currency, percent sign (50% equals 50), markup and remarks around it; see
`rltk_eval.numbers`. Equality is exact: 72 = 72.00, 0.5 = 1/2, 0.33 is not 1/3.
"""

import re
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from rltk_eval.boxes import last_boxes
from rltk_eval.maths import gold_math
from rltk_eval.numbers import MAX_ANSWER, clean, last_number, read_bare, read_one, starts_with_number
from rltk_eval.pool import Checker
from rltk_eval.verdicts import Grade, Kind, Verdict

__all__ = ["Grade", "Kind", "Verdict", "gold_answer", "grade_all", "grade_number", "read_number"]

MAX_MARKS = 64
"""`####` lines in a completion; more read as nothing. Bounds the work on hostile text."""
MAX_BOXES = 8
"""Boxes side by side that are compared."""

_CHECKER = Checker()
"""Starts no process before mathematical answers are graded."""

_HASHES = re.compile(r"#{4,}")
_NUMBERED = re.compile(r"\W{0,4}\d[.)]\s+\W{0,4}[^\W\d_]")
_ANNOUNCED = re.compile(r"\banswers?\b[^\n\d.!?]{0,60}?(?:\b(?:is|are|be|equals)\b|[:=])", re.IGNORECASE)


def grade_number(completion: str, gold: str, *, strict: bool = False) -> Grade:
    """The grade against a bare number or a GSM8K solution; ValueError if it is the gold that does not read."""
    target, value = _gold_value(gold), read_number(completion, strict=strict)
    if value is None:
        return Grade(Verdict.UNREADABLE, None)
    return Grade(Verdict.CORRECT if value == target else Verdict.INCORRECT, str(value))


def grade_all(
    completions: Sequence[str], golds: Sequence[str], *, kind: Kind = "number", strict: bool = False
) -> list[Grade]:
    """The grade of each completion against the gold in its place; math is checked in worker processes, with bounds."""
    pairs = list(zip(completions, golds, strict=True))
    if kind == "math":
        return _CHECKER.grade(pairs, strict=strict)
    return [grade_number(completion, gold, strict=strict) for completion, gold in pairs]


def gold_answer(solution: str, *, kind: Kind = "number") -> str:
    r"""The answer of a dataset's row; ValueError if there is none to read.

    A number in canonical form, "1000" for "... #### 1,000"; for math what the last box holds, "\frac12", or the
    whole text where there is no box.
    """
    return gold_math(solution) if kind == "math" else str(_gold_value(solution))


def read_number(text: str, *, strict: bool = False) -> Fraction | None:
    """The answer that a completion gives, None if there is none to read; strict: only after `####` or in a box."""
    text = clean(text.rpartition("</think>")[2])
    for find in (_after_hashes, _boxed) if strict else (_after_hashes, _boxed, _announced):
        declared = find(text)
        if declared is not None:
            return declared.value
    return None if strict else last_number(text)


class _Declared(NamedTuple):
    """An answer was announced; value is None if what was announced does not read."""

    value: Fraction | None


def _gold_value(gold: str) -> Fraction:
    value = read_number(gold, strict=True)
    if value is None:
        value = read_bare(clean(gold))
    if value is None:
        shown = gold if len(gold) <= 200 else "..." + gold[-200:]
        raise ValueError(f"no gold answer in {shown!r}: give one number, or a solution that ends in '#### 72'")
    return value


def _after_hashes(text: str) -> _Declared | None:
    if "####" not in text:
        return None
    lines = text.rstrip().split("\n")
    marked = [answer for line in lines for answer in _marked(line)]
    if len(marked) > MAX_MARKS:
        return _Declared(None)
    closing = len(marked) - 1 if "####" in lines[-1] else len(marked)
    answers = [answer for row, answer in enumerate(marked) if row >= closing or not _is_heading(answer)]
    values = {read_one(answer) for answer in answers}
    return _Declared(values.pop() if len(values) == 1 else None) if values else None


def _marked(line: str) -> list[str]:
    """What follows each `####` of a line; hashes that only close a heading are dropped."""
    pieces = [piece.replace(r"\boxed", "").strip(" \t#") for piece in _HASHES.split(line)[1:]]
    return [piece for piece in pieces if piece] or pieces[:1]


def _is_heading(line: str) -> bool:
    return not starts_with_number(line) or _NUMBERED.match(line) is not None


def _boxed(text: str) -> _Declared | None:
    boxes = last_boxes(text, MAX_BOXES)
    if not boxes:
        return None
    values = {None if box.content is None else read_one(box.content) for box in boxes}
    return _Declared(values.pop() if len(values) == 1 else None)


def _announced(text: str) -> _Declared | None:
    for match in reversed(deque(_ANNOUNCED.finditer(text), maxlen=MAX_MARKS)):
        answer = text[match.end() : match.end() + MAX_ANSWER].lstrip(" \t\n*_:").partition("\n")[0]
        if starts_with_number(answer):
            return _Declared(read_one(answer))
    return None
