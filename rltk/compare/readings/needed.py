"""RL-9: how many parameters reinforcement and supervised learning need for nine tenths of full fine-tuning's gain.

Shapes: A arms, S seeds, B draws.
"""

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome, verdict_of
from rltk.compare.readings.room import enough, noisy_gaps, parameters_of
from rltk.errors import UserError
from rltk.recipe.schema import OnPolicy

SHORT = 0.1
"""Of full fine-tuning's gain, what may be missing."""
TIMES = 10
"""As many parameters as reinforcement learning must supervised learning need."""


class Needed(NamedTuple):
    parameters_A: Array
    """Of the arms that were tried, the smallest first."""
    share_AS: Array
    """Of full fine-tuning's mean gain."""

    @property
    def least(self) -> float:
        return float(self.parameters_A[0])

    def value(self) -> float:
        return enough(self.parameters_A, 1 - self.share_AS.mean(1), SHORT)

    def drawn_B(self) -> Array:
        return np.array([enough(self.parameters_A, gap_A, SHORT) for gap_A in noisy_gaps(1 - self.share_AS)])


def fewer_parameters(evidence: Sequence[Evidence]) -> Outcome:
    """Parameters that supervised learning needs over those that reinforcement learning does; 95 % from t draws.

    Where the smallest adapter is enough already, fewer might be, and where no adapter is, how many would be is not
    known: the interval then has no end on that side.
    """
    reinforced, supervised = (needed(one) for one in both_ways(evidence))
    more, less = supervised.value(), reinforced.value()
    # Of one generator, so in reverse order one is independent of the other.
    more_B, less_B = supervised.drawn_B(), reinforced.drawn_B()[::-1]
    surely_more_B = np.where(more_B <= supervised.least, 0.0, more_B)
    surely_less_B = np.where(less_B <= reinforced.least, 0.0, less_B)
    low = quantile(surely_more_B, less_B, 0.025, without=0.0)
    high = quantile(more_B, surely_less_B, 0.975, without=inf)
    verdict = verdict_of(is_shown=low > TIMES, is_refuted=high < TIMES)
    bound = "any" if high == inf else f"{high:.2g}"
    summary = (
        f"nine tenths of full's gain from {said(less, reinforced)} parameters on by reinforcement, from "
        f"{said(more, supervised)} by supervision; ratio between {low:.2g} and {bound}"
    )
    details = {
        name: {"parameters": one.parameters_A.tolist(), "shares": one.share_AS.mean(1).tolist()}
        for name, one in (("reinforced", reinforced), ("supervised", supervised))
    }
    is_known = isfinite(more) and isfinite(less)
    return Outcome(verdict, summary, more / less if is_known else None, (low, high), details)


def both_ways(evidence: Sequence[Evidence]) -> tuple[Evidence, Evidence]:
    """The comparison of reinforcement learning, and that of supervised learning."""
    reinforced = [one for one in evidence if isinstance(one.comparison.recipe.algo, OnPolicy)]
    supervised = [one for one in evidence if one.comparison.recipe.algo.type == "sft"]
    if len(reinforced) != 1 or len(supervised) != 1 or len(evidence) != 2:
        raise UserError("this takes one comparison of reinforcement learning and one of SFT, on the same problems.")
    return reinforced[0], supervised[0]


def needed(one: Evidence) -> Needed:
    """UserError where full fine-tuning gained nothing that there could be a share of."""
    arms = sorted(one.others, key=lambda arm: parameters_of(one, arm))
    start_S = np.array([one.conclusion["start"][seed] for seed in sorted(one.conclusion["start"], key=int)], float)
    gained = one.comparison.sign * float(one.score_S(one.reference).mean() - start_S.mean())
    if not gained > 0:
        raise UserError(f"full fine-tuning gained nothing in {one.comparison.path}, so there is no share of its gain.")
    share_AS = np.array([one.comparison.sign * (one.score_S(arm) - start_S.mean()) / gained for arm in arms])
    return Needed(np.array([parameters_of(one, arm) for arm in arms], float), share_AS)


def quantile(over_B: Array, under_B: Array, at: float, *, without: float) -> float:
    """Of the ratio; `without` stands for what is undefined: infinite over infinite, or nothing over nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_B = over_B / under_B
    return float(np.quantile(np.where(np.isnan(ratio_B), without, ratio_B), at, method="inverted_cdf"))


def said(parameters: float, of: Needed) -> str:
    if parameters == inf:
        return f"more than {of.parameters_A[-1]:,.0f}"
    return f"{parameters:,.0f}{' or fewer' if parameters <= of.least else ''}"
