"""Each value has one way to be written."""

from fractions import Fraction

import pytest

from rltk.embedded import latex


@pytest.mark.parametrize(
    ("value", "written"),
    [(3, "3"), (Fraction(-6, 8), r"-\frac{3}{4}"), (Fraction(8, 4), "2"), (Fraction(0), "0"), (-5, "-5")],
)
def test_numbers(value: int | Fraction, written: str) -> None:
    assert latex.number(value) == written


@pytest.mark.parametrize(
    ("factor", "under", "written"),
    [
        (1, 12, r"2\sqrt{3}"),
        (3, 5, r"3\sqrt{5}"),
        (1, 7, r"\sqrt{7}"),
        (2, 49, "14"),
        (Fraction(5, 6), 3, r"\frac{5\sqrt{3}}{6}"),
        (Fraction(1, 2), 8, r"\sqrt{2}"),
        (Fraction(1, 3), 2, r"\frac{\sqrt{2}}{3}"),
        (Fraction(1, 4), 4, r"\frac{1}{2}"),
    ],
)
def test_radicals(factor: int | Fraction, under: int, written: str) -> None:
    assert latex.root(factor, under) == written


def test_the_largest_square_is_taken_out() -> None:
    for under in range(1, 500):
        outside, inside = latex.take_square_out(under)
        assert outside * outside * inside == under
        assert all(inside % (k * k) for k in range(2, 23))


@pytest.mark.parametrize(
    ("coefficients", "written"),
    [
        ((1, -5, 6), "x^2 - 5x + 6"),
        ((-1, 0, 1), "-x^2 + 1"),
        ((2, -1), "2x - 1"),
        ((-3, 0), "-3x"),
        ((1, 0, 0), "x^2"),
        ((0, 0), "0"),
        ((1, -2), "x - 2"),
    ],
)
def test_polynomials(coefficients: tuple[int, ...], written: str) -> None:
    assert latex.polynomial(*coefficients) == written


def test_sums_keep_their_order() -> None:
    assert latex.terms([(7, 1), (-7, 0), (-1, 1), (15, 0)]) == "7x - 7 - x + 15"
    assert [latex.signed(value) for value in (5, -5, 0)] == [" + 5", " - 5", ""]


def test_intervals() -> None:
    assert latex.interval(-2, Fraction(1, 2), closed=(True, False)) == r"[-2, \frac{1}{2})"
    rays = {relation: latex.ray(relation, 3) for relation in latex.MIRRORED}
    assert rays == {
        "<": r"(-\infty, 3)",
        ">": r"(3, \infty)",
        r"\le": r"(-\infty, 3]",
        r"\ge": r"[3, \infty)",
    }
    assert all(latex.MIRRORED[mirrored] == relation for relation, mirrored in latex.MIRRORED.items())


def test_chains_leave_repetitions_out() -> None:
    assert latex.chain("a", "a", "b", "a") == "a = b = a"
    assert latex.chain("a") == "a"
