"""From two arms' paired scores, a margin declared beforehand and proof that a loss would have been seen: a verdict.

Every claim is a test at level alpha whose null hypothesis is the opposite of the claim:

| verdict | claim about the mean difference d, larger is better | shown by |
|---|---|---|
| EQUIVALENT | -margin < d < margin | two one-sided tests; no difference from zero seen |
| DIFFERENT_WITHIN_MARGIN | the same, and d is not zero | two one-sided tests, and a two-sided test of d = 0 |
| NON_INFERIOR | d > -margin | a one-sided test |
| SUPERIOR | d > 0, perhaps by more than the margin | a two-sided test of d = 0 |
| INFERIOR | d < -margin | a one-sided test |
| INCONCLUSIVE | none of these | |
| ASSAY_INSENSITIVE | none: these runs could not have shown a loss | see `Assay` |

The tests are t tests over seeds, exact for the items that were evaluated. Whether the verdict also holds for new items
of the same kind is answered beside it, by the crossed bootstrap of seeds and items.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from rltk_eval.equivalence.assay import Assay, AssayResult, Margin, check_assay, judge_assay
from rltk_eval.equivalence.bootstrap import DRAWS, crossed_bootstrap, crossed_interval
from rltk_eval.equivalence.paired import (
    PairedMean,
    p_above,
    p_below,
    p_different,
    p_equivalent,
    paired_mean,
    t_interval,
)
from rltk_eval.equivalence.power import Claim, required_seeds
from rltk_eval.equivalence.scores import Pairs
from rltk_eval.metrics import Interval

OPEN = (Claim.EQUIVALENT, Claim.NON_INFERIOR, Claim.SUPERIOR, Claim.INFERIOR)
"""Claims that more seeds may show."""


class Verdict(str, Enum):
    """What the runs show about an arm against its reference."""

    EQUIVALENT = "equivalent"
    DIFFERENT_WITHIN_MARGIN = "different_within_margin"
    NON_INFERIOR = "non_inferior"
    SUPERIOR = "superior"
    INFERIOR = "inferior"
    INCONCLUSIVE = "inconclusive"
    ASSAY_INSENSITIVE = "assay_insensitive"


class PValues(NamedTuple):
    """`difference` is two-sided, the others one-sided; all nan where there is no spread over seeds to judge from."""

    equivalence: float
    non_inferiority: float
    inferiority: float
    difference: float


@dataclass(frozen=True, eq=False)
class Decision:
    """A verdict and all that it rests on; intervals of the difference have confidence 1 - 2 alpha and 1 - alpha.

    `margin_achieved` is the smallest margin inside which these runs would show the difference to lie. `seeds_needed`
    are the seeds, in all, with which runs that spread like these would show a claim 4 times in 5, were the arms as far
    apart as observed; None where no number would do. `seeds_as_observed` is that of equivalence, `seeds_if_equal` that
    of equivalence for arms that are equal. All of that only where the verdict leaves a question. `new_items` is the
    verdict for new items of the same kind; None where there are none to generalise from.
    """

    verdict: Verdict
    pairs: Pairs
    paired: PairedMean
    margin: Margin
    alpha: float
    interval: Interval
    interval_two_sided: Interval
    margin_achieved: float
    p: PValues
    assay: AssayResult
    seeds_if_equal: int | None
    seeds_needed: dict[Claim, int | None]
    new_items: Verdict | None
    new_items_interval: Interval

    @property
    def seeds_as_observed(self) -> int | None:
        return self.seeds_needed.get(Claim.EQUIVALENT)


def decide(
    pairs: Pairs, margin: Margin, assay: Assay, *, alpha: float = 0.05, looks: int = 1, draws: int = DRAWS
) -> Decision:
    """The verdict on `pairs`. The same data give the same decision.

    `looks` is how often, at most, the verdict will be asked for as seeds are added, fixed beforehand: each look takes
    its share of alpha, or else asking until the answer pleases would find equivalence too often.
    """
    _check(alpha, looks)
    check_assay(assay, pairs, margin)
    alpha = alpha / looks
    paired = paired_mean(pairs.difference_S)
    interval, two_sided = t_interval(paired, 1 - 2 * alpha), t_interval(paired, 1 - alpha)
    assay_result = judge_assay(assay, margin, alpha)
    is_sensitive = assay_result.problem is None
    verdict = temper(judge(interval, two_sided, margin.value), is_sensitive=is_sensitive)
    crossed = crossed_bootstrap(pairs, draws=draws)
    new_interval, new_two_sided = crossed_interval(crossed, 1 - 2 * alpha), crossed_interval(crossed, 1 - alpha)
    new_items = temper(judge(new_interval, new_two_sided, margin.value), is_sensitive=is_sensitive)
    undecided = verdict in (Verdict.INCONCLUSIVE, Verdict.NON_INFERIOR) and paired.se > 0
    needed = {claim: _seeds_needed(claim, paired, margin.value, paired.mean, alpha) for claim in OPEN if undecided}
    return Decision(
        verdict=verdict,
        pairs=pairs,
        paired=paired,
        margin=margin,
        alpha=alpha,
        interval=interval,
        interval_two_sided=two_sided,
        margin_achieved=max(abs(interval.low), abs(interval.high)),
        p=_p_values(paired, margin.value),
        assay=assay_result,
        seeds_if_equal=_seeds_needed(Claim.EQUIVALENT, paired, margin.value, 0.0, alpha) if undecided else None,
        seeds_needed=needed,
        new_items=new_items if crossed.se > 0 else None,
        new_items_interval=new_interval,
    )


def judge(interval: Interval, two_sided: Interval, margin: float) -> Verdict:
    """The verdict from the intervals of confidence 1 - 2 alpha and 1 - alpha, if losses could be seen; nan: nothing."""
    above, below = interval.low > -margin, interval.high < margin
    if above and below:
        is_different = two_sided.low > 0 or two_sided.high < 0
        return Verdict.DIFFERENT_WITHIN_MARGIN if is_different else Verdict.EQUIVALENT
    if two_sided.low > 0:
        return Verdict.SUPERIOR
    if above:
        return Verdict.NON_INFERIOR
    return Verdict.INFERIOR if interval.high < -margin else Verdict.INCONCLUSIVE


def temper(verdict: Verdict, *, is_sensitive: bool) -> Verdict:
    """What is left of a verdict: a loss that was seen needs no proof that losses can be seen; all else does.

    Also SUPERIOR: to beat a reference that did not learn says nothing about the method.
    """
    return verdict if is_sensitive or verdict is Verdict.INFERIOR else Verdict.ASSAY_INSENSITIVE


def _p_values(paired: PairedMean, margin: float) -> PValues:
    return PValues(
        equivalence=p_equivalent(paired, margin),
        non_inferiority=p_above(paired, -margin),
        inferiority=p_below(paired, -margin),
        difference=p_different(paired),
    )


def _seeds_needed(claim: Claim, paired: PairedMean, margin: float, difference: float, alpha: float) -> int | None:
    if not _is_true(claim, difference, margin):
        return None  # no test's power exceeds alpha there
    return required_seeds(claim, sd=paired.sd, margin=margin, difference=difference, alpha=alpha)


def _is_true(claim: Claim, difference: float, margin: float) -> bool:
    """Whether a claim holds of a difference."""
    return {
        Claim.EQUIVALENT: abs(difference) < margin,
        Claim.NON_INFERIOR: difference > -margin,
        Claim.SUPERIOR: difference > 0,
        Claim.INFERIOR: difference < -margin,
    }[claim]


def _check(alpha: float, looks: int) -> None:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha ({alpha}) must lie between 0 and 0.5, such as 0.05")
    if looks < 1:
        raise ValueError(f"looks ({looks}) must be at least 1: the verdict is asked for once or more")
