"""Problems about fractions and radicals for `rltk.embedded.equations`: each draws its numbers and works itself out.

Numbers are drawn so that many answers are about equally likely; what would leave nothing to do is drawn again.
"""

from fractions import Fraction
from math import lcm
from typing import NamedTuple

from rltk.embedded.draw import Draw
from rltk.embedded.latex import chain, number, over, radical, root, take_square_out

SQUARE_FREE = (2, 3, 5, 6, 7, 10, 11, 13, 14, 15)


class Worked(NamedTuple):
    question: str
    steps: tuple[str, ...]
    """Formulas, each true, in order."""
    answer: str
    numbers: tuple[int | str, ...]
    """All that was drawn; it decides the problem."""


def reduce_fraction(draw: Draw) -> Worked:
    value, by = proper(draw, 15), draw.between(2, 9)
    given = over(by * value.numerator, by * value.denominator)
    split = over(rf"{by} \cdot {value.numerator}", rf"{by} \cdot {value.denominator}")
    step = chain(given, split, number(value))
    return Worked(f"Simplify ${given}$.", (step,), number(value), (value.numerator, value.denominator, by))


def add_like_fractions(draw: Draw) -> Worked:
    below = draw.between(5, 20)
    one, other = draw.some_of(range(1, below), 2)
    return sum_of((one, below), (other, below), draw.one_of((-1, 1)))


def add_fractions(draw: Draw) -> Worked:
    while True:
        one, other = proper(draw, 9), proper(draw, 9)
        if one.denominator != other.denominator:
            pairs = ((value.numerator, value.denominator) for value in (one, other))
            return sum_of(next(pairs), next(pairs), draw.one_of((-1, 1)))


def sum_of(one: tuple[int, int], other: tuple[int, int], sign: int) -> Worked:
    """Fractions as (numerator, denominator) that need not be in lowest terms."""
    (a, b), (c, d) = one, other
    common, plus = lcm(b, d), "+" if sign > 0 else "-"
    left, right = a * common // b, c * common // d
    value = Fraction(left + sign * right, common)
    given, scaled = f"{over(a, b)} {plus} {over(c, d)}", f"{over(left, common)} {plus} {over(right, common)}"
    total = left + sign * right
    raw = ("-" if total < 0 else "") + over(abs(total), common)
    step = chain(given, scaled, raw, number(value))
    return Worked(f"Compute ${given}$.", (step,), number(value), (a, b, c, d, sign))


def multiply_fractions(draw: Draw) -> Worked:
    while True:
        one, other = proper(draw, 12), proper(draw, 12)
        if one * other != 1:
            break
    a, b, c, d = one.numerator, one.denominator, other.numerator, other.denominator
    is_product = draw.fraction() < 0.5
    operator = r"\cdot" if is_product else r"\div"
    given = f"{over(a, b)} {operator} {over(c, d)}"
    if not is_product:
        c, d = d, c
    product = chain(given, rf"{over(a, b)} \cdot {over(c, d)}", over(a * c, b * d), number(Fraction(a * c, b * d)))
    return Worked(f"Compute ${given}$.", (product,), number(Fraction(a * c, b * d)), (a, b, c, d, is_product))


def simplify_radical(draw: Draw) -> Worked:
    factor, out, inside = draw.between(1, 12), draw.between(2, 9), draw.one_of(SQUARE_FREE)
    given, middle = radical(factor, out * out * inside), radical(factor, rf"{out * out} \cdot {inside}")
    step = chain(given, middle, rf"{factor} \cdot {radical(out, inside)}", root(factor * out, inside))
    step = step if factor > 1 else chain(given, middle, root(out, inside))
    return Worked(f"Simplify ${given}$.", (step,), root(factor * out, inside), (factor, out, inside))


def multiply_radicals(draw: Draw) -> Worked:
    a, c = draw.between(1, 6), draw.between(1, 6)
    b, d = draw.some_of((*SQUARE_FREE, 8, 12, 18), 2)
    given, answer = rf"{radical(a, b)} \cdot {radical(c, d)}", root(a * c, b * d)
    out, inside = take_square_out(b * d)
    parts = [given, radical(a * c, b * d)]
    parts += [radical(a * c, rf"{out * out} \cdot {inside}")] if out > 1 and inside > 1 else []
    return Worked(f"Simplify ${given}$.", (chain(*parts, answer),), answer, (a, b, c, d))


def add_radicals(draw: Draw) -> Worked:
    while True:
        inside, (one, other) = draw.one_of(SQUARE_FREE), draw.some_of(range(2, 8), 2)
        a, c = draw.between(1, 4), either_sign(draw, 1, 4)
        if a * one + c * other > 0:
            break
    sign = "+" if c > 0 else "-"
    given = f"{radical(a, one * one * inside)} {sign} {radical(abs(c), other * other * inside)}"
    middle = f"{root(a * one, inside)} {sign} {root(abs(c) * other, inside)}"
    answer = root(a * one + c * other, inside)
    return Worked(f"Simplify ${given}$.", (chain(given, middle, answer),), answer, (inside, one, other, a, c))


def rationalize(draw: Draw) -> Worked:
    top, below, inside = draw.between(1, 30), draw.between(1, 4), draw.one_of(SQUARE_FREE)
    given, answer = over(top, radical(below, inside)), root(Fraction(top, below * inside), inside)
    step = chain(given, over(radical(top, inside), rf"{below} \cdot {inside}" if below > 1 else inside), answer)
    return Worked(f"Simplify ${given}$, with no root below.", (step,), answer, (top, below, inside))


def proper(draw: Draw, largest: int) -> Fraction:
    """A fraction that is not whole, with numerator and denominator up to `largest`."""
    while True:
        value = Fraction(draw.between(1, largest), draw.between(2, largest))
        if value.denominator > 1:
            return value


def either_sign(draw: Draw, low: int, high: int) -> int:
    return draw.between(low, high) * draw.one_of((-1, 1))
