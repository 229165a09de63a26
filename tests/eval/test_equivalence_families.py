"""Several arms at once: intersections need no correction, unions do."""

from math import isnan, nan

import numpy as np
import pytest
from rltk_eval.equivalence.assay import Assay, Margin
from rltk_eval.equivalence.families import decide_all, holm, intersection_union
from rltk_eval.equivalence.verdict import Decision, Verdict, decide

from tests.eval.paired_arms import pairs_of, sensitive_assay

SPREAD = np.array([-0.01, 0.01, -0.005, 0.005, 0.0, 0.0])


def decided(arm: str, shift: float, *, alpha: float = 0.05, assay: Assay | None = None) -> Decision:
    return decide(pairs_of(SPREAD + shift, arm=arm), Margin(0.02), assay or sensitive_assay(), alpha=alpha)


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04; never below the one before."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_counts_what_could_not_be_tested():
    adjusted = holm([0.01, nan, 0.02])
    assert adjusted[0] == pytest.approx(0.03)
    assert isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.04)


def test_all_claims_are_as_sure_as_the_least_sure():
    assert intersection_union([0.01, 0.04, 0.02]) == 0.04
    assert isnan(intersection_union([0.01, nan]))
    assert isnan(intersection_union([]))


@pytest.mark.parametrize(
    ("shifts", "verdict"),
    [
        ([0.0, 0.001, -0.001], Verdict.EQUIVALENT),
        ([0.0, -0.01], Verdict.EQUIVALENT),  # the second differs, within the margin
        ([-0.01, 0.01], Verdict.DIFFERENT_WITHIN_MARGIN),  # both do
        ([0.0, 0.03], Verdict.NON_INFERIOR),
        ([0.03, 0.04], Verdict.SUPERIOR),
        ([0.0, -0.015], Verdict.INCONCLUSIVE),
        ([0.0, -0.04], Verdict.INFERIOR),
        ([-0.015, -0.04], Verdict.INFERIOR),
    ],
)
def test_verdict_on_all_ranks(shifts: list[float], verdict: Verdict):
    decisions = [decided(f"rank{i}", shift) for i, shift in enumerate(shifts)]
    family = decide_all(decisions)
    assert family.verdict is verdict
    assert family.p_equivalence == max(one.p.equivalence for one in decisions)
    assert family.inferior == tuple(f"rank{i}" for i, shift in enumerate(shifts) if shift <= -0.04)


def test_one_loss_among_many_must_be_clear():
    """A p value of 0.04 alone is a loss; one of eight is none."""
    shift = next(s for s in np.arange(-0.025, -0.03, -0.00005) if decided("r", float(s)).p.inferiority < 0.04)
    doubtful = decided("doubtful", float(shift))
    assert doubtful.verdict is Verdict.INFERIOR
    assert decide_all([doubtful]).inferior == ("doubtful",)
    family = decide_all([doubtful, *(decided(f"rank{i}", 0.0) for i in range(7))])
    assert family.verdict is Verdict.INCONCLUSIVE
    assert family.inferior == ()


def test_an_insensitive_assay_is_no_agreement():
    blind = Assay(sensitive_assay().gain, 0.1, None)
    decisions = [decided("rank1", 0.0, assay=blind), decided("rank4", 0.0)]
    assert decide_all(decisions).verdict is Verdict.ASSAY_INSENSITIVE


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(ValueError, match="no decisions"):
        decide_all([])
    with pytest.raises(ValueError, match="differ in alpha"):
        decide_all([decided("rank1", 0.0), decided("rank4", 0.0, alpha=0.025)])
