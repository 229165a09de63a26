r"""Expressions compared without algebra: exact numbers, units, bases, words, sums in another order.

Units, currencies, degree and percent signs are dropped, never converted, as for numbers: `12\text{ cm}` equals `12`
and `50\%` equals `50`, not `0.5`. A base counts where both name one: `12_3` equals `12_{3}` and `12`, not `12_4`.
"""

import re
from fractions import Fraction

from rltk_eval.forms import split_outside

MAX_POWER_OF_TEN = 400

_DECIMAL = r"(?:\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(
    rf"""([-+]?)(?:(?P<whole>\d+)(?=\\frac))?
        (?: \\frac\{{(?P<sign>-?)(?P<over>{_DECIMAL})\}}\{{(?P<under>{_DECIMAL})\}}
          | (?P<top>{_DECIMAL})(?:\\overline\{{(?P<repeat>\d+)\}})?(?:/(?P<bottom>{_DECIMAL}))?
            (?:\\cdot10\^\{{(?P<power>-?\d+)\}})? )""",
    re.VERBOSE,
)
_UNIT = re.compile(r"(?:\\text\{(?![^{}]*\b[ap]\.?\s?m\b)[^{}]*\}(?:\^\{-?\d\})?)+$", re.IGNORECASE)
_DEGREES = re.compile(r"\^\{\\circ\}(?:\\text\{[^{}]*\}|[CF])?$")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|sec|csc|cot)")
_ONLY_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_BASED = re.compile(r"(-?[0-9A-Z.]+)_\{(?:\\text\{)?(\w+)\}?\}")
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_WORD = re.compile(r"[A-Za-z]{4,}\d*|(?=[a-z]*[A-Z])[A-Za-z]{2,}\d*")
_PARSED = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-/^_(){}[]|!. ")
_PARSED_COMMAND = re.compile(
    r"\\(?:frac|sqrt|pi|cdot|binom|sin|cos|tan|sec|csc|cot|arcsin|arccos|arctan|log|ln|exp|infty|circ|alpha|beta|"
    r"delta|theta|lambda|mu|phi|omega|sigma|rho|tau|epsilon)(?![A-Za-z])"
)


class UndecidedError(Exception):
    """It takes algebra to know whether two expressions are equal."""


def quick_equal(answer: str, gold: str) -> bool:
    """Whether two expressions in canonical LaTeX are equal; UndecidedError if it takes algebra to know."""
    answer, gold = without_units(answer), without_units(gold)
    if answer == gold:
        return True
    ours, theirs = _BASED.fullmatch(answer), _BASED.fullmatch(gold)
    if ours or theirs:
        return _same_in_base(answer, ours, gold, theirs)
    value, target = exact_number(answer), exact_number(gold)
    if value is not None and target is not None:
        return value == target
    if _WORD.fullmatch(answer) or _WORD.fullmatch(gold) or not (_is_parsed(answer) and _is_parsed(gold)):
        return _plain_words(answer) == _plain_words(gold)
    if _terms(answer) == _terms(gold):
        return True
    raise UndecidedError


def exact_number(text: str) -> Fraction | None:
    r"""The value of `.5`, `3/4`, `\frac{3}{4}`, `1\frac{1}{2}`, `0.1\overline{6}`, `1.5\cdot10^{3}`; else None."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    bottom = Fraction(match["under"] or match["bottom"] or 1)
    if not bottom or abs(int(match["power"] or 0)) > MAX_POWER_OF_TEN or (match["whole"] and match["sign"]):
        return None
    size = (Fraction(match["over"] or match["top"]) + _repeating(match)) / bottom
    size = size * Fraction(10) ** int(match["power"] or 0) * (-1 if match["sign"] else 1)
    if match["whole"] and size >= 1:
        return None
    return (int(match["whole"] or 0) + size) * (-1 if match[1] == "-" else 1)


def without_units(text: str) -> str:
    """The expression without the unit, the degree sign or the plus sign around it; words without their wrapping."""
    only = _ONLY_TEXT.fullmatch(text)
    text = only[1] if only else _UNIT.sub("", text) or text
    if not _TRIGONOMETRIC.search(text):
        text = _DEGREES.sub("", text) or text
    return text.removeprefix("+").strip().rstrip(".")


def _repeating(match: re.Match[str]) -> Fraction:
    """What the digits under a bar add: 0.1(6) is 1/10 + 6/90."""
    digits = match["repeat"]
    if not digits or "." not in match["top"]:
        return Fraction(0)
    places = len(match["top"].partition(".")[2])
    return Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)


def _same_in_base(answer: str, ours: re.Match[str] | None, gold: str, theirs: re.Match[str] | None) -> bool:
    digits, base = (ours[1], _BASES.get(ours[2], ours[2])) if ours else (answer, None)
    gold_digits, gold_base = (theirs[1], _BASES.get(theirs[2], theirs[2])) if theirs else (gold, None)
    return digits == gold_digits and (base is None or gold_base is None or base == gold_base)


def _is_parsed(text: str) -> bool:
    """Whether only what the parser is meant for is in it; anything else is compared as it is written."""
    return _PARSED.issuperset(_PARSED_COMMAND.sub("", text))


def _plain_words(text: str) -> str:
    return re.sub(r"\\text|[\s{}().]", "", text).casefold()


def _terms(text: str) -> list[tuple[str, str]]:
    """The signed terms of a sum, sorted: 11 + x is x + 11."""
    return sorted((sign or "+", term) for sign, term in split_outside(text, frozenset("+-")) if sign or term)
