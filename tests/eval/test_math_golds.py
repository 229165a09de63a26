"""The 12,500 solutions of MATH and the answers of MATH-500: right as they are, wrong when they are changed."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from rltk_eval.answers import Verdict, gold_answer, grade_all
from rltk_eval.pool import Checker

EMPTY_BOX = ["number_theory/train/661", "number_theory/train/663"]
"""Solutions whose only box is empty in the dataset: there is no gold answer, and they are refused."""

STILL_RIGHT = {
    "sign_flipped": {
        "geometry/train/584": "cos(-6 degrees) is cos(6 degrees)",
        "precalculus/test/67": "cos(-58 degrees) is cos(58 degrees)",
        "precalculus/test/284": "cos(-13 degrees) is cos(13 degrees)",
    }
}
"""Changed golds that are still right, by what was changed and row, with the reason."""


class Row(NamedTuple):
    id: str
    solution: str
    gold: str


@pytest.fixture(scope="module")
def solutions(shared_data: Path) -> dict[str, str]:
    found = {}
    for file in sorted((shared_data / "EleutherAI/hendrycks_math").glob("*/*.parquet")):
        split = file.name.partition("-")[0]
        for index, solution in enumerate(pq.read_table(file)["solution"].to_pylist()):
            found[f"{file.parent.name}/{split}/{index}"] = str(solution)
    assert len(found) == 7500 + 5000
    return found


@pytest.fixture(scope="module")
def rows(solutions: dict[str, str]) -> list[Row]:
    """All that have a gold answer."""
    return [
        Row(id_, solution, gold_answer(solution, kind="math"))
        for id_, solution in solutions.items()
        if id_ not in EMPTY_BOX
    ]


@pytest.fixture(scope="module")
def patient() -> Iterator[Checker]:
    """What is right is asked here, not how long it takes: a busy machine must not fail the test."""
    with Checker(seconds=600) as checker:
        yield checker


def test_golds_that_are_not_there_are_refused(solutions: dict[str, str]):
    for id_ in EMPTY_BOX:
        with pytest.raises(ValueError, match="no gold answer in"):
            gold_answer(solutions[id_], kind="math")


def test_every_solution_is_right_against_itself(rows: list[Row]):
    assert len(rows) == 12_498
    for strict in (False, True):
        grades = grade_all([row.solution for row in rows], [row.solution for row in rows], kind="math", strict=strict)
        assert [row.id for row, grade in zip(rows, grades, strict=True) if not grade.correct] == []


def test_a_canonical_gold_stays_what_it_is(rows: list[Row]):
    assert [row.id for row in rows if gold_answer(row.gold, kind="math") != row.gold] == []
    grades = grade_all([row.solution for row in rows], [row.gold for row in rows], kind="math")
    assert [row.id for row, grade in zip(rows, grades, strict=True) if not grade.correct] == []


def test_every_answer_of_math_500_is_right_against_its_solution(shared_data: Path, patient: Checker):
    lines = (shared_data / "HuggingFaceH4/MATH-500/test.jsonl").read_text(encoding="utf-8").splitlines()
    problems = [json.loads(line) for line in lines]
    assert len(problems) == 500
    grades = patient.grade([(problem["solution"], problem["answer"]) for problem in problems])
    wrong = [p["unique_id"] for p, grade in zip(problems, grades, strict=True) if not grade.correct]
    assert wrong == []
    boxed = patient.grade([(rf"It is \boxed{{{problem['answer']}}}.", problem["solution"]) for problem in problems])
    assert [p["unique_id"] for p, grade in zip(problems, boxed, strict=True) if not grade.correct] == []


def number_changed(gold: str) -> str | None:
    """The first number is one more."""
    changed = re.sub(r"\d+", lambda number: str(int(number[0]) + 1), gold, count=1)
    return changed if changed != gold else None


def sign_flipped(gold: str) -> str | None:
    """The first number that is not zero has the other sign."""
    match = re.search(r"(-\s*)?(?<![\d.])(?=\d*[1-9])", gold)
    if match is None:
        return None
    plus = "+" if re.search(r"[\w})]\s*$", gold[: match.start()]) else ""
    return gold[: match.start()] + (plus if match[1] else "-") + gold[match.end() :]


def fraction_inverted(gold: str) -> str | None:
    match = re.search(r"\\[dt]?frac\s*\{?(\d+)\}?\s*\{?(\d+)\}?", gold)
    if match is None or int(match[1]) == int(match[2]):
        return None
    return f"{gold[: match.start()]}\\frac{{{match[2]}}}{{{match[1]}}}{gold[match.end() :]}"


def order_reversed(gold: str) -> str | None:
    """Coordinates of one point, or rows of a matrix, from last to first."""
    point = re.fullmatch(r"\s*(?:\\left)?\s*\(([^()\[\]]*,[^()\[\]]*?)(?:\\right)?\)\s*", gold)
    if point is not None:
        parts = [part.strip() for part in point[1].split(",")]
        return f"({', '.join(parts[::-1])})" if parts != parts[::-1] else None
    matrix = re.fullmatch(r"\s*\\begin\{pmatrix\}(.*)\\end\{pmatrix\}\s*", gold, re.DOTALL)
    if matrix is None:
        return None
    rows = [re.sub(r"\s", "", row) for row in matrix[1].split(r"\\")]
    turned = r"\begin{pmatrix}" + r" \\ ".join(rows[::-1]) + r"\end{pmatrix}"
    return turned if rows != rows[::-1] else None


def bracket_changed(gold: str) -> str | None:
    """The last bracket of an interval or a tuple is of the other kind."""
    match = re.search(r",[^()\[\]]*([)\]])\s*$", gold)
    if match is None or re.match(r"\s*(?:\\left)?\s*[(\[]", gold) is None:
        return None
    return gold[: match.start(1)] + {")": "]", "]": ")"}[match[1]] + gold[match.end(1) :]


CHANGES = [number_changed, sign_flipped, fraction_inverted, order_reversed, bracket_changed]


def check_changed(rows: list[Row], change: Callable[[str], str | None], checker: Checker) -> int:
    """How many golds were changed; fails if one of them still passes that is not listed."""
    changed = [(row, other) for row in rows if (other := change(row.gold)) is not None]
    grades = checker.grade([(rf"\boxed{{{other}}}", row.gold) for row, other in changed])
    still_right = {row.id for (row, _), grade in zip(changed, grades, strict=True) if grade.correct}
    assert still_right - STILL_RIGHT.get(change.__name__, {}).keys() == set()
    assert Verdict.TIMEOUT not in {grade.verdict for grade in grades}
    return len(changed)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_gold_is_wrong(rows: list[Row], change: Callable[[str], str | None], patient: Checker):
    assert check_changed(rows[::31], change, patient) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_every_changed_gold_is_wrong(rows: list[Row], change: Callable[[str], str | None], patient: Checker):
    number = check_changed(rows, change, patient)
    assert number >= 300
    assert len(STILL_RIGHT.get(change.__name__, {})) <= number / 1000
