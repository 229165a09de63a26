"""The contract of `rltk_eval.answers` beyond the corpus: golds, canonical forms, bounds, hostile text."""

import random
import time
from fractions import Fraction

import pytest
from rltk_eval.answers import Grade, Verdict, gold_answer, grade_number, read_number

from tests.growth import grows_in_proportion

NASTY = "0123456789####,,..--++ \n\r\t/\\{}$%()*_^=<>eExor"
NASTY += "\u2212\u2013\u2014\u200f\u200b\u202e\u0663\u096d\uff17\u00bd\u00b2\u2466"
FRAGMENTS = [
    "#### ",
    "\\boxed{",
    "\\frac{",
    "answer is ",
    "</think>",
    " or ",
    "not ",
    "1,000",
    "-3",
    "72",
    "\n",
    *NASTY,
]


def test_a_grade_holds_the_canonical_answer_that_was_read():
    assert grade_number("#### $1,000.00", "1000") == Grade(Verdict.CORRECT, "1000")
    assert grade_number("#### 0.75", "1") == Grade(Verdict.INCORRECT, "3/4")
    assert grade_number("no idea", "1") == Grade(Verdict.UNREADABLE, None)
    assert [grade_number(text, "1").correct for text in ("#### 1", "#### 2", "?")] == [True, False, False]


def test_verdicts_are_lower_case_words():
    assert [verdict.value for verdict in Verdict] == ["correct", "incorrect", "unreadable", "timeout"]


def test_numbers_are_exact():
    assert read_number("#### 0.1") == Fraction(1, 10)
    assert read_number("#### 12345678901234567890.5") == Fraction(24691357802469135781, 2)
    assert read_number("#### 9007199254740993") == 9007199254740993  # 2^53 + 1: a float would give ...992


def test_canonical_golds():
    rows = {
        "#### 72": "72",
        "#### 1,000": "1000",
        "-3": "-3",
        "3/4": "3/4",
        "0.75": "3/4",
        " $72.00 ": "72",
        "50%": "50",
    }
    assert {row: gold_answer(row) for row in rows} == rows


@pytest.mark.parametrize(
    "gold", ["", "seventy-two", "#### ", "#### 3 or 4", "3, 4", "She has 72", "#### 3\n#### 4", "12,34"]
)
def test_a_gold_that_does_not_read_is_an_error_and_never_a_reward(gold: str):
    with pytest.raises(ValueError, match="no gold answer in"):
        gold_answer(gold)
    with pytest.raises(ValueError, match="no gold answer in"):
        grade_number(gold, gold)


def test_the_error_shows_the_gold():
    with pytest.raises(ValueError, match=r"no gold answer in 'about six': give one number"):
        gold_answer("about six")


def random_value(rng: random.Random) -> Fraction:
    return Fraction(
        rng.randrange(-(10 ** rng.randrange(1, 9)), 10 ** rng.randrange(1, 9)), rng.choice([1, 1, 2, 4, 100])
    )


def spellings(value: Fraction) -> list[str]:
    """Ways to write a value whose denominator divides 100."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    cents = f"{int(size * 100) // 100:,}.{int(size * 100) % 100:02d}"
    plain = [f"{sign}{size}", f"{sign}{cents}", f"{sign}${cents}", f"{sign}{size.numerator}e0/{size.denominator}"]
    return [*plain, f"{sign}\\frac{{{size.numerator}}}{{{size.denominator}}}", f"\u2212{cents}" if sign else cents]


def test_every_spelling_of_a_random_value_reads_back_exactly_and_no_neighbour_passes():
    rng = random.Random(0)
    for _ in range(1000):
        value = random_value(rng)
        for text in spellings(value):
            shown = f"So 3 + 4.\n#### {text}"
            assert read_number(shown, strict=True) == value, shown
            assert not grade_number(shown, str(value + 1)).correct
            assert value == 0 or not grade_number(shown, str(-value)).correct


def test_random_nasty_strings_never_raise():
    rng = random.Random(0)
    started = time.process_time()
    for _ in range(50_000):
        text = "".join(rng.choices(FRAGMENTS, k=rng.randrange(30)))
        for strict in (False, True):
            value = read_number(text, strict=strict)
            assert value is None or isinstance(value, Fraction)
    assert time.process_time() - started < 20


HOSTILE = [
    *("#", "####", "#### ", "#### 1\n", "#### 1. a\n", "\n\n1", "\r", " ", "</think>"),
    *(
        "1",
        "1,",
        "1,000",
        "1.",
        "1 ",
        "1/",
        "1 1/",
        "1=",
        "1e",
        "1e9",
        ".",
        ". ",
        "1:",
        "1'",
        "-",
        "--",
        "->",
        "\u2212",
    ),
    *("\\boxed{", "\\boxed{1}", "\\boxed", "{", "}", "\\frac{", "\\frac{1}{", "\\", "$", "^{", "^\\circ", "10^", "\\,"),
    *("<<", "<a", "(", " (a", "*", "**1**", "_", "_1", "x1", "1x10^", "a", "so ", "1 so ", "or 1 ", "not ", "minus "),
    *(
        "answer ",
        "answer is ",
        "answer is x ",
        "answer: 1 ",
        "Rs ",
        "\u00bd",
        "1\u00bd",
        "\u0663",
        "\u200f",
        "\u4e00",
        "\u00a0",
    ),
]


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_text_of_100k_characters_costs_ten_times_what_10k_cost(unit: str):
    for before in ("", "#### ", "\\boxed{", "The answer is "):

        def read(size: int, before: str = before) -> None:
            read_number(before + (unit * (size // len(unit) + 1))[:size] + "x")

        assert grows_in_proportion(read, 10_000, 100_000), before
