"""Every hand-labelled completion gets the verdict a person gave it, leniently and strictly."""

from collections.abc import Iterator

import pytest
from rltk_eval.answers import Verdict, grade_number
from rltk_eval.pool import Checker

from tests.eval.corpus import CASES, Case
from tests.eval.corpus_math import MATH_CASES

VERDICTS = {"C": Verdict.CORRECT, "I": Verdict.INCORRECT, "U": Verdict.UNREADABLE}


@pytest.fixture(scope="module")
def patient() -> Iterator[Checker]:
    """What is right is asked here, not how long it takes: a busy machine must not fail the test."""
    with Checker(seconds=600) as checker:
        yield checker


def test_the_corpus_is_large_and_has_no_doubles():
    assert len(CASES) >= 400
    assert len(MATH_CASES) >= 400
    for cases in (CASES, MATH_CASES):
        assert len({(case.completion, case.gold) for case in cases}) == len(cases)
        assert {label for case in cases for label in case.labels} == {"C", "I", "U"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.completion[-40:]))
def test_verdicts_agree_with_the_labels(case: Case):
    lenient = grade_number(case.completion, case.gold)
    strict = grade_number(case.completion, case.gold, strict=True)
    assert lenient.verdict is VERDICTS[case.labels[0]], lenient
    assert strict.verdict is VERDICTS[case.labels[-1]], strict


@pytest.mark.parametrize("case", MATH_CASES, ids=lambda case: ascii(case.completion[-40:]))
def test_mathematical_verdicts_agree_with_the_labels(case: Case, patient: Checker):
    [lenient] = patient.grade([(case.completion, case.gold)])
    [strict] = patient.grade([(case.completion, case.gold)], strict=True)
    assert lenient.verdict is VERDICTS[case.labels[0]], lenient
    assert strict.verdict is VERDICTS[case.labels[-1]], strict
