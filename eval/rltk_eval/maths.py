r"""Mathematical answers (MATH): where a completion's answer stands, and when it equals the gold.

Where the answer is looked for, first that applies (what follows the last `</think>`, if there is one):

1. the last `\boxed{...}` or `\fbox{...}`. Several side by side ("\boxed{3} or \boxed{4}") are one answer, the list
   "3, 4", so listing guesses never helps. An empty or unclosed one reads as nothing.
2. the last "the answer is ..." or "answer: ...".                          } not when
3. the last formula or number of the text, whichever comes later.          } `strict`

What is equal to what: `rltk_eval.latex` (spelling), `rltk_eval.forms` (lists, tuples, intervals, matrices, equations),
`rltk_eval.quick` (numbers, units, bases, words) and, for expressions that differ after that, `rltk_eval.symbolic`.
"""

import re
from collections import deque

from rltk_eval.boxes import last_boxes
from rltk_eval.forms import read_form, same_form
from rltk_eval.latex import MAX_ANSWER, canonical
from rltk_eval.numbers import clean, ends_a_range, last_number
from rltk_eval.quick import UndecidedError, quick_equal

MAX_BOXES = 8
MAX_TAIL = 4000
MAX_GOLD_WORDS = 8
"""Boxes side by side that are read; characters at the end of a text where a last formula is looked for; words of a gold
answer that comes without a box, as more are a solution that lacks one."""

_ANNOUNCED = re.compile(r"\banswers?\b[^\n\d.!?$\\]{0,60}?(?:\b(?:is|are|be|equals)\b|[:=])", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?:[\s*_\"']|$)|\n|,?\s(?i:because|since|which|so|as|when)\s|\*\*")
_FORMULA = re.compile(
    r"\$\$([^$]{1,500})\$\$|(?<!\\)\$([^$\n]{1,500}?)(?<!\\)\$|\\\((.{1,500}?)\\\)|\\\[(.{1,500}?)\\\]", re.DOTALL
)
_EITHER = re.compile(r"[\s,]*\bor\b[\s,]*", re.IGNORECASE)
_LIST_LINK = re.compile(r"\s*(?:,|,?\s*\band\b)\s*", re.IGNORECASE)
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_DIGIT = re.compile(r"\d")


def read_math(text: str, *, strict: bool = False) -> str | None:
    """The answer that a completion gives, as it is written; None if there is none to read; strict: only in a box."""
    text = text.rpartition("</think>")[2]
    boxes = last_boxes(text, MAX_BOXES)
    if boxes:
        return _joined([box.content for box in boxes])
    if strict:
        return None
    return _announced(text) or _final(text[-MAX_TAIL:])


def gold_math(solution: str) -> str:
    """The answer of a dataset's row: what its last box holds, or the text itself; ValueError if that does not read."""
    boxes = last_boxes(solution, MAX_BOXES)
    answer = _joined([box.content for box in boxes] if boxes else [solution])
    is_prose = not boxes and len(_PROSE_WORD.findall(solution)) > MAX_GOLD_WORDS
    if answer is None or is_prose or canonical(answer) is None:
        shown = solution if len(solution) <= 200 else "..." + solution[-200:]
        raise ValueError(f"no gold answer in {shown!r}: give an answer in LaTeX, or a solution with one in \\boxed{{}}")
    return answer


def same_math(answer: str, gold: str) -> bool:
    """Whether two answers in LaTeX are equal, in this process and without bounds of time: for trusted text."""
    verdict = quick_match(answer, gold)
    if verdict is None:
        from rltk_eval.symbolic import slow_match  # sympy; most answers never need it

        verdict = slow_match(answer, gold)
    return verdict


def quick_match(answer: str, gold: str) -> bool | None:
    """Whether they are equal as far as spelling, form and exact numbers tell; None if it takes algebra to know."""
    ours, theirs = canonical(answer), canonical(gold)
    if ours is None or theirs is None:
        return False
    if ours == theirs:
        return True
    try:
        return same_form(read_form(ours), read_form(theirs), quick_equal, _undecided)
    except UndecidedError:
        return None


def _undecided(answer: str, gold: str) -> bool:
    if answer == gold:
        return True
    raise UndecidedError


def _joined(contents: list[str | None]) -> str | None:
    """Boxes side by side as one list, without repeats; None if one is empty, never closes, or all are too long."""
    answers: list[str] = []
    for content in contents:
        content = " ".join((content or "").split())
        if not content or sum(map(len, answers)) + len(content) > MAX_ANSWER:
            return None
        if not any(quick_match(content, other) for other in answers):
            answers.append(content)
    return ", ".join(answers)


def _announced(text: str) -> str | None:
    """What follows "the answer is": formulas side by side, or the words up to the end of the sentence, at most four."""
    for match in reversed(deque(_ANNOUNCED.finditer(text), maxlen=MAX_BOXES)):
        said = text[match.end() : match.end() + MAX_ANSWER].lstrip(" \t\n*_:")
        formulas = _leading_formulas(said)
        if formulas:
            return ", ".join(formulas)
        words = _SENTENCE_END.split(said, maxsplit=1)[0].strip()
        if words and (len(words.split()) <= 4 or "\\" in words):
            return words
    return None


def _leading_formulas(said: str) -> list[str]:
    found: list[str] = []
    match = _FORMULA.match(said)
    while match:
        found.append(_content(match))
        link = _LIST_LINK.match(said, match.end()) or _EITHER.match(said, match.end())
        match = _FORMULA.match(said, link.end()) if link else None
    return found


def _final(text: str) -> str | None:
    """The last formula, or the last number if that comes later; None for "$3$ or $4$" and "between $3$ and $4$"."""
    formulas = deque(_FORMULA.finditer(text), maxlen=2)
    if not formulas or _DIGIT.search(text, formulas[-1].end()):
        number = last_number(clean(text[formulas[-1].end() :] if formulas else text))
        return None if number is None else str(number)
    is_choice = len(formulas) == 2 and _EITHER.fullmatch(text, formulas[0].end(), formulas[1].start())
    if is_choice or (len(formulas) == 2 and ends_a_range(text, *formulas)):
        return None
    return _content(formulas[-1])


def _content(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()
