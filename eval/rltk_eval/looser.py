r"""A second, deliberately simpler reader, to hold against a verdict: what it finds is a reason to look, not a verdict.

It shares none of `rltk_eval.numbers`: a number is digits with commas, whatever stands around it.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from rltk_eval.answers import Kind
from rltk_eval.boxes import all_boxes
from rltk_eval.maths import quick_match

MOST = 64
"""Boxes and formulas that are looked at, the last ones."""
MAX_NUMBERS = 10_000

LAST, BOXED, HASHED, FORMULA, ANYWHERE = "as its last number", "in a box", "after ####", "in a formula", "in its text"
"""Where a gold answer may stand, most telling first."""

_NUMBER = re.compile(
    r"(?<![\d.,])(?P<sign>(?<![\w)])-\s?)?\$?\d[\d,]{0,60}(?:\.\d{1,60})?(?:/0{0,9}[1-9]\d{0,60})?(?!\d)"
)
_ANNOUNCED = re.compile(r"\banswers?\b[^\n\d.!?$\\]{0,60}?(?:\b(?:is|are|be|equals)\b|[:=])[\s*_]{0,9}", re.IGNORECASE)
_FORMULA = re.compile(r"\$([^$\n]{1,300})\$|\\\((.{1,300}?)\\\)")
_SPELLINGS = [("{,}", ","), (r"\!", ""), (r"\$", "$"), ("\u2212", "-"), ("\u2013", "-")]


def find_gold(completion: str, gold: str, *, kind: Kind = "number") -> str | None:
    """Where the canonical gold answer stands in a completion, most telling place first; None if nowhere."""
    numbers = list(_numbers(completion))
    target = next(_numbers(gold), None) if _NUMBER.fullmatch(gold) else None
    if target is not None and numbers[-1:] == [target]:
        return LAST
    if any(_same(box, gold, kind) for box in _boxes(completion)):
        return BOXED
    if target is not None and any(next(_numbers(said), None) == target for said in _hashed(completion)):
        return HASHED
    if kind == "math" and any(_same(formula, gold, kind) for formula in _formulas(completion)):
        return FORMULA
    return ANYWHERE if target in numbers or (target is None and _packed(gold) in _packed(completion)) else None


def stated_answers(completion: str, *, kind: Kind = "number") -> list[str]:
    """The different answers that a completion announces: in boxes, after `####`, after "the answer is"; at most 64.

    What stands before the last `</think>` is not announced.
    """
    text = completion.rpartition("</think>")[2]
    different: list[str] = []
    for stated in [*_boxes(text), *_leading(_hashed(text)), *_leading(_announced(text))][:MOST]:
        if not any(_same(stated, other, kind) for other in different):
            different.append(stated)
    return different if kind == "math" else [stated for stated in different if _NUMBER.search(stated)]


def _same(answer: str, gold: str, kind: Kind) -> bool:
    """Equal as numbers, or as far as spelling and form tell; what only algebra could tell is taken to differ."""
    return list(_numbers(answer)) == list(_numbers(gold)) if kind == "number" else bool(quick_match(answer, gold))


def _numbers(text: str) -> Iterator[Fraction]:
    for spelling, plain in _SPELLINGS:
        text = text.replace(spelling, plain)
    for match, _ in zip(_NUMBER.finditer(text), range(MAX_NUMBERS), strict=False):
        value = Fraction(match[0].removeprefix(match["sign"] or "").replace(",", "").removeprefix("$"))
        yield -value if match["sign"] else value


def _boxes(text: str) -> list[str]:
    return [" ".join(box.content.split()) for box in all_boxes(text, MOST) if box.content and len(box.content) <= 300]


def _hashed(text: str) -> list[str]:
    return [said.partition("\n")[0][:300] for said in text.split("####")[1:]][-MOST:]


def _announced(text: str) -> list[str]:
    return [text[match.end() : match.end() + 300].partition("\n")[0] for match in _ANNOUNCED.finditer(text)][-MOST:]


def _leading(said: list[str]) -> Iterator[str]:
    """The formula or the number that each begins with."""
    for text in said:
        match = _FORMULA.match(text) or _NUMBER.match(text.lstrip(" $"))
        if match:
            yield (match[match.lastindex or 0] if match.re is _FORMULA else match[0]).rstrip(",")


def _formulas(text: str) -> list[str]:
    return [match[match.lastindex or 0] for match in _FORMULA.finditer(text)][-MOST:]


def _packed(text: str) -> str:
    return "".join(text.split())
