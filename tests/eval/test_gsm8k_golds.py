"""All 8,792 real GSM8K solutions are read back, and nothing near them passes for right."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rltk_eval.answers import Grade, Verdict, gold_answer, grade_number, read_number

INTEGER = re.compile(r" (-?)(\d+(?:,\d{3})*)")


@pytest.fixture(scope="module")
def solutions(shared_data: Path) -> list[str]:
    files = sorted((shared_data / "openai/gsm8k/main").glob("*.parquet"))
    rows = [str(answer) for file in files for answer in pq.read_table(file)["answer"].to_pylist()]
    assert len(rows) == 7473 + 1319
    return rows


def tail(solution: str) -> int:
    """The number after `####`, parsed without the code under test."""
    match = INTEGER.fullmatch(solution.split("####")[1])
    assert match is not None, solution
    return int(match[1] + match[2].replace(",", ""))


def test_every_gold_reads_back(solutions: list[str]):
    for solution in solutions:
        number = tail(solution)
        assert read_number(solution) == read_number(solution, strict=True) == number, solution
        assert gold_answer(solution) == str(number)
        assert grade_number(solution, solution) == Grade(Verdict.CORRECT, str(number))


def test_wrong_numbers_are_wrong(solutions: list[str]):
    for solution in solutions:
        number = tail(solution)
        for wrong in {number + 1, number - 1, -number, number * 10, int(f"{number}0")} - {number}:
            assert grade_number(solution, str(wrong)).verdict is Verdict.INCORRECT, (solution, wrong)
            assert grade_number(f"#### {wrong:,}", solution).verdict is Verdict.INCORRECT, (solution, wrong)


@pytest.mark.parametrize(
    "form",
    [
        "#### {:,}",
        "#### ${:,}.00",
        "#### **{}**.",
        "The answer is {:,}.",
        "**Answer: {}**",
        r"\boxed{{{}}}",
        "So it is {:,}.",
    ],
)
def test_every_gold_is_recognised_in_the_ways_models_write_it(solutions: list[str], form: str):
    for solution in solutions[:: 1 if form.startswith("####") else 4]:
        assert grade_number(form.format(tail(solution)), solution).correct, solution


def test_strict_asks_for_the_mark(solutions: list[str]):
    for solution in solutions[::10]:
        unmarked = solution.replace("####", "The answer is")
        assert grade_number(unmarked, solution).correct
        assert grade_number(unmarked, solution, strict=True).verdict is Verdict.UNREADABLE


def test_two_different_marked_answers_never_pass(solutions: list[str]):
    for solution in solutions[::10]:
        hedged = f"#### {tail(solution) + 1}\n{solution}"
        assert grade_number(hedged, solution).verdict is Verdict.UNREADABLE
