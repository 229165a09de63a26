r"""Whether two expressions are equal by algebra: math-verify on sympy. Imported only where it has to be: it is slow.

Three steps. latex2sympy (through math-verify's `parse`) reads each expression; numbers put for the letters refute most
wrong answers at once (Schwartz 1980, "Fast probabilistic algorithms for verification of polynomial identities");
math-verify's `verify` must confirm what is left. math-verify's own time limits are alarm signals, which work in main
threads only: they are off, and `rltk_eval.pool` bounds the work from outside.
"""

import logging
import re
from fractions import Fraction
from functools import lru_cache

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Basic, Expr, I, Number, Rational, Symbol, simplify

from rltk_eval.forms import read_form, same_form
from rltk_eval.latex import canonical
from rltk_eval.quick import UndecidedError, quick_equal, without_units

DIGITS = 30
NOISE = 1e-20
NO_SIZE = 1e-100
"""Digits that are computed; what is left of a difference that is zero, relative to its parts, and next to a zero."""

_READING = [
    LatexExtractionConfig(
        boxed_match_priority=-1, normalization_config=NormalizationConfig(basic_latex=False, boxed="none")
    )
]
_DECIMAL = re.compile(r"\d*\.\d+|\d+\.")
_DEGREES = re.compile(r"(\d+)\^\{\\circ\}")
_CAPITAL = re.compile(r"(?<!\\)(?<![A-Za-z]\{)([A-Z])(?![a-z])(_\{(\w+)\})?")
_ROOTED = re.compile(r"\\(?:sqrt|log|ln)|\^\{\\frac|\^\{[^{}]*/")
_FAILURES = (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError, KeyError)
"""What sympy raises for expressions that it cannot handle."""

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limits are off


def slow_match(answer: str, gold: str) -> bool:
    """Whether two answers in LaTeX are equal; may take long and much memory."""
    ours, theirs = canonical(answer), canonical(gold)
    if ours is None or theirs is None:
        return False
    return same_form(read_form(ours), read_form(theirs), _equal, _proportional)


def _equal(answer: str, gold: str) -> bool:
    try:
        return quick_equal(answer, gold)
    except UndecidedError:
        ours, theirs = _parsed(without_units(answer)), _parsed(without_units(gold))
    if ours is None or theirs is None:
        return False
    if _ROOTED.search(answer + gold):
        ours, theirs = _positive(ours), _positive(theirs)
    if any(_differ(ours, theirs, point) for point in _points(answer + gold)):
        return False
    return verify(theirs, ours, timeout_seconds=None)


def _proportional(answer: str, gold: str) -> bool:
    """Whether two equations, all on one side, have the same solutions because one is a multiple of the other."""
    ours, theirs = _parsed(answer), _parsed(gold)
    if ours is None or theirs is None or ours.free_symbols != theirs.free_symbols or not ours.free_symbols:
        return False
    letters = sorted(ours.free_symbols, key=str)
    points: list[dict[Basic, Basic | float]] = [
        dict(zip(letters, point, strict=False)) for point in _points(answer + gold)
    ]
    first, *others = [_value(ours / theirs, values) for values in points]
    if first is None or any(other is not None and abs(other - first) > NOISE * abs(first) for other in others):
        return False
    try:
        ratio = simplify(ours / theirs)
    except _FAILURES:
        return False
    return isinstance(ratio, Number) and not ratio.is_zero and bool(ratio.is_finite)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Expr | None:
    """The sympy expression, with `i` the imaginary unit; None if it does not parse."""
    text = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", text)
    text = _CAPITAL.sub(_marked, _DECIMAL.sub(_fraction, text))
    found = parse(f"${text}$", _READING, fallback_mode="no_fallback", parsing_timeout=None)  # pyright: ignore[reportArgumentType] - None is what its documentation says
    if len(found) != 1 or not isinstance(found[0], Expr):
        return None
    units = {symbol: I for symbol in found[0].free_symbols if isinstance(symbol, Symbol) and symbol.name == "i"}
    expression = found[0].xreplace(units)
    return expression if isinstance(expression, Expr) else None


def _positive(expression: Expr) -> Expr:
    """The same with letters that stand for positive numbers, as problems with roots and logarithms mean them."""
    positive = expression.xreplace({letter: Symbol(str(letter), positive=True) for letter in expression.free_symbols})
    assert isinstance(positive, Expr)
    return positive


def _marked(capital: re.Match[str]) -> str:
    """A capital as a small letter with an index of its own, since the parser makes R and r one."""
    return f"{capital[1].lower()}_{{{ord(capital[1])}{capital[3] or ''}}}"


def _fraction(decimal: re.Match[str]) -> str:
    """A decimal as a fraction: the parser would make it a rounded float."""
    value = Fraction(decimal[0])
    return rf"(\frac{{{value.numerator}}}{{{value.denominator}}})"


def _points(texts: str) -> list[list[Expr]]:
    """Values for the letters, in their order; all positive where roots or logarithms ask for it."""
    sign = 1 if _ROOTED.search(texts) else -1
    firsts = [(13, 7), (sign * 5, 3), (sign * 29, 17)]
    return [[Rational(top + step * 2, bottom + step) for step in range(26)] for top, bottom in firsts]


def _differ(answer: Expr, gold: Expr, point: list[Expr]) -> bool:
    """Whether the two have different values at a point; False where they have none."""
    values: dict[Basic, Basic | float] = dict(
        zip(sorted(answer.free_symbols | gold.free_symbols, key=str), point, strict=False)
    )
    difference, ours, theirs = (_size(part, values) for part in (answer - gold, answer, gold))
    if difference is None or ours is None or theirs is None:
        return False
    return bool(difference > (NOISE * max(ours, theirs) if ours and theirs else NO_SIZE))


def _size(expression: Expr, values: dict[Basic, Basic | float]) -> Expr | None:
    """The absolute value, which may be too small or too large for a float; None if there is none."""
    value = _value(expression, values)
    return None if value is None else abs(value)


def _value(expression: Expr, values: dict[Basic, Basic | float]) -> Expr | None:
    try:
        value = expression.evalf(DIGITS, subs=values, maxn=200)
        return value if value.is_number and value.is_finite and not value.free_symbols else None
    except _FAILURES:
        return None
