"""Every hand-labelled completion gets the verdict a person gave it, leniently and strictly."""

import pytest
from rltk_eval.answers import Verdict, grade_number

from tests.eval.corpus import CASES, Case

VERDICTS = {"C": Verdict.CORRECT, "I": Verdict.INCORRECT, "U": Verdict.UNREADABLE}


def test_the_corpus_is_large_and_has_no_doubles():
    assert len(CASES) >= 250
    assert len({(case.completion, case.gold) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.completion[-40:]))
def test_verdicts_agree_with_the_labels(case: Case):
    lenient = grade_number(case.completion, case.gold)
    strict = grade_number(case.completion, case.gold, strict=True)
    assert lenient.verdict is VERDICTS[case.labels[0]], lenient
    assert strict.verdict is VERDICTS[case.labels[-1]], strict
