r"""Numbers, radicals, polynomials and intervals as LaTeX in canonical form: one way to write each value.

- a fraction in lowest terms with its sign in front, `-\frac{3}{4}`; a whole number plainly
- a radical with the largest square taken out, `2\sqrt{3}`, over a whole number `\frac{5\sqrt{3}}{6}`
- a polynomial in x from its highest power down, `x^2 - 5x + 6`, without zero terms
- an interval with round or square brackets, `(-\infty, 3]`
"""

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

MIRRORED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
"""The relation that holds when both sides change their sign."""


def over(top: str | int, bottom: str | int) -> str:
    return rf"\frac{{{top}}}{{{bottom}}}"


def number(value: int | Fraction) -> str:
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    return ("-" if value < 0 else "") + over(abs(value.numerator), value.denominator)


def signed(value: int) -> str:
    """The value as the next term of a sum: ` + 5`, ` - 5`, nothing for 0."""
    return "" if value == 0 else f" {'-' if value < 0 else '+'} {abs(value)}"


def radical(factor: int, under: int | str) -> str:
    r"""`2\sqrt{3}`, with what is under the root as it stands."""
    return ("" if factor == 1 else str(factor)) + rf"\sqrt{{{under}}}"


def take_square_out(under: int) -> tuple[int, int]:
    """(a, b) with under = a * a * b, for the largest such a."""
    factor = next(a for a in range(isqrt(under), 0, -1) if under % (a * a) == 0)
    return factor, under // (factor * factor)


def root(factor: int | Fraction, under: int) -> str:
    """`factor` times the root of `under`, in canonical form."""
    outside, inside = take_square_out(under)
    value = Fraction(factor) * outside
    if inside == 1:
        return number(value)
    top = radical(value.numerator, inside)
    return top if value.denominator == 1 else over(top, value.denominator)


def polynomial(*coefficients: int) -> str:
    """Of x, from the highest power down: (1, -5, 6) is `x^2 - 5x + 6`."""
    powers = range(len(coefficients) - 1, -1, -1)
    return terms([(c, power) for c, power in zip(coefficients, powers, strict=True) if c])


def terms(parts: Sequence[tuple[int, int]]) -> str:
    """A sum of (coefficient, power of x) in the order given; `0` if there is none."""
    text = ""
    for coefficient, power in parts:
        sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
        text += sign + term(abs(coefficient), power)
    return text or "0"


def term(coefficient: int, power: int) -> str:
    if power == 0:
        return str(coefficient)
    return ("" if coefficient == 1 else str(coefficient)) + ("x" if power == 1 else f"x^{power}")


def interval(low: int | Fraction | None, high: int | Fraction | None, *, closed: tuple[bool, bool]) -> str:
    """None is infinity, where an interval is never closed."""
    left = r"(-\infty" if low is None else ("[" if closed[0] else "(") + number(low)
    right = r"\infty)" if high is None else number(high) + ("]" if closed[1] else ")")
    return f"{left}, {right}"


def ray(relation: str, bound: int | Fraction) -> str:
    """The x for which `x relation bound`."""
    closed = relation in (r"\le", r"\ge")
    low, high = (None, bound) if relation in ("<", r"\le") else (bound, None)
    return interval(low, high, closed=(closed, closed))


def chain(*parts: str) -> str:
    """`a = b = c`; a part that repeats the one before is left out."""
    kept = [part for index, part in enumerate(parts) if index == 0 or part != parts[index - 1]]
    return " = ".join(kept)
