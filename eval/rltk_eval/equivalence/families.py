"""Several arms, or several claims, at once, without finding too much.

"Every rank is equivalent" is an intersection: it is shown at level alpha when each part is, with no correction (the
intersection-union test, Berger 1982, https://doi.org/10.1080/00401706.1982.10487790). "Some rank is inferior" is a
union: each part is given a smaller share of alpha (Holm 1979, https://www.jstor.org/stable/4615733).
"""

from collections.abc import Sequence
from math import isnan, nan
from typing import NamedTuple

from rltk_eval.equivalence.verdict import Decision, Verdict

WITHIN_MARGIN = (Verdict.EQUIVALENT, Verdict.DIFFERENT_WITHIN_MARGIN)
SAID_OF_ALL = (Verdict.SUPERIOR, Verdict.DIFFERENT_WITHIN_MARGIN)
"""What holds of all arms when it holds of each; also an intersection, with no correction."""
NOT_INFERIOR = (*WITHIN_MARGIN, Verdict.NON_INFERIOR, Verdict.SUPERIOR)


class Family(NamedTuple):
    """The verdict on all arms together.

    EQUIVALENT: every arm lies within its margin; DIFFERENT_WITHIN_MARGIN: and none is equal. SUPERIOR: every arm is
    better. NON_INFERIOR: none is worse than its margin allows. INFERIOR: some are, those in `inferior`. `p_equivalence`
    and `p_non_inferiority` are of "every arm", nan if one of them is.
    """

    verdict: Verdict
    p_equivalence: float
    p_non_inferiority: float
    inferior: tuple[str, ...]


def decide_all(decisions: Sequence[Decision]) -> Family:
    """The verdict on several arms against one reference, all decided at the same alpha."""
    if not decisions:
        raise ValueError("there are no decisions to join: decide on at least one arm")
    if len({(one.alpha, one.pairs.reference) for one in decisions}) > 1:
        raise ValueError("the decisions differ in alpha or in the reference arm: decide on every arm in the same way")
    adjusted = holm([one.p.inferiority for one in decisions])
    inferior = tuple(one.pairs.arm for one, p in zip(decisions, adjusted, strict=True) if p < one.alpha)
    return Family(
        verdict=_verdict(decisions, inferior),
        p_equivalence=intersection_union([one.p.equivalence for one in decisions]),
        p_non_inferiority=intersection_union([one.p.non_inferiority for one in decisions]),
        inferior=inferior,
    )


def intersection_union(p_values: Sequence[float]) -> float:
    """The p value of "all of these claims hold": the largest; nan if one is nan, or if there is none."""
    return nan if not p_values or any(map(isnan, p_values)) else max(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given: claims adjusted to alpha or less have a family-wise error of alpha.

    A claim that could not be tested (nan) stays nan and still counts as one of the family.
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if not isnan(p))
    adjusted, largest = [nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[i] = largest
    return adjusted


def _verdict(decisions: Sequence[Decision], inferior: tuple[str, ...]) -> Verdict:
    verdicts = {one.verdict for one in decisions}
    if inferior:
        return Verdict.INFERIOR
    if Verdict.ASSAY_INSENSITIVE in verdicts:
        return Verdict.ASSAY_INSENSITIVE
    if len(verdicts) == 1 and verdicts.issubset(SAID_OF_ALL):
        return verdicts.pop()
    if verdicts.issubset(WITHIN_MARGIN):
        return Verdict.EQUIVALENT
    return Verdict.NON_INFERIOR if verdicts.issubset(NOT_INFERIOR) else Verdict.INCONCLUSIVE
