"""CAP-5, RANK-1 and SC-3: what loss an adapter ends with, against how many parameters it has.

Shapes: A arms, S seeds, B draws.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isfinite, log2

import numpy as np
from rltk_eval.equivalence.scores import Array
from rltk_eval.scaling import fit_law
from rltk_eval.scaling_law import ScalingRun
from scipy.optimize import isotonic_regression

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict
from rltk.compare.readings.batches import batch_of
from rltk.compare.readings.falling import long_curve
from rltk.compare.readings.rates import rank_of
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.count import adapter_parameters
from rltk.recipe.schema import LoRA

WELL = 0.01
"""The gap to full fine-tuning, as a share of its loss, at which an adapter does well."""
ENOUGH, CERTAIN = 1.0, 2.0
"""Parameters a token that the rule of thumb asks for, and what the interval of the measured ones must stay below."""
DRAWS = 4_000


def parameters_a_token(evidence: Sequence[Evidence]) -> Outcome:
    """CAP-5: from how many parameters a completion token on the gap to full fine-tuning stays within 1 %."""
    (one,) = evidence
    arms = by_rank(one)
    tokens = one.costs[one.reference]["tokens"]
    if not tokens:
        raise UserError(f"the runs of {one.comparison.path} logged no tokens, which CAP-5 counts.")
    ratio_A = np.array([parameters_of(one, arm) / tokens for arm in arms])
    gap_AS = np.array([-one.better_S(arm, one.reference) for arm in arms]) / one.score_S(one.reference).mean()
    value = enough(ratio_A, gap_AS.mean(1))
    drawn_B = [enough(ratio_A, gap_A) for gap_A in noisy_gaps(gap_AS)]
    low, high = np.quantile(drawn_B, [0.025, 0.975], method="inverted_cdf")
    gaps = {arm: float(gap) for arm, gap in zip(arms, gap_AS.mean(1), strict=True)}
    least = " or fewer" if value == ratio_A[0] else ""
    found = "more than were tried" if value == inf else f"{value:.2g}{least}"
    summary = (
        f"within 1 % of full's loss from {found} parameters a token on ({ratio_A[0]:.2g} to {ratio_A[-1]:.2g} tried)"
    )
    interval = (float(low), float(high)) if isfinite(high) else None
    details = {"gaps": gaps, "ratios": dict(zip(arms, ratio_A.tolist(), strict=True)), "tokens": tokens}
    verdict = enough_verdict(value, (float(low), float(high)), least_tried=float(ratio_A[0]))
    return Outcome(verdict, summary, value if isfinite(value) else None, interval, details)


def enough(ratio_A: Array, gap_A: Array, well: float = WELL) -> float:
    """Where the gap, made to fall with the ratio, comes down to `well`: straight lines over log ratio between arms.

    The smallest ratio where it is there already, infinite where it never gets there.
    """
    fitted_A = isotonic_regression(gap_A, increasing=False).x
    (there,) = np.nonzero(fitted_A <= well)
    if not len(there):
        return inf
    first = there[0]
    if first == 0:
        return float(ratio_A[0])
    x, y = np.log(ratio_A[first - 1 : first + 1]), fitted_A[first - 1 : first + 1]
    return float(np.exp(np.interp(-well, -y, x)))


def noisy_gaps(gap_AS: Array) -> Array:
    """Gaps as other seeds might have given them, [B, A]: Student's t, since the spread is known from few seeds."""
    arms, seeds = gap_AS.shape
    se_A = gap_AS.std(axis=1, ddof=1) / np.sqrt(seeds)
    return gap_AS.mean(1) + se_A * np.random.default_rng(0).standard_t(seeds - 1, (DRAWS, arms))


def enough_verdict(value: float, interval: tuple[float, float], *, least_tried: float) -> Verdict:
    """Where even the smallest ratio that was tried does well and is above 1, nothing is known of 1."""
    low, high = interval
    if low > max(ENOUGH, least_tried):
        return "not reproduced"
    return "reproduced" if value <= ENOUGH and high < CERTAIN else "inconclusive"


def doublings(evidence: Sequence[Evidence]) -> Outcome:
    """RANK-1: what each doubling of the rank takes off the loss, and what a step then costs."""
    (one,) = evidence
    arms = by_rank(one)
    gains = {f"{low} to {high}": gain(one, low, high) for low, high in pairwise(arms)}
    seconds = {arm: one.costs[arm]["seconds_a_step"] / one.costs[one.reference]["seconds_a_step"] for arm in arms}
    shape = find_shape(one.comparison.recipe.model)
    shares = {arm: parameters_of(one, arm) / shape.parameters for arm in arms}
    summary = "loss a doubling: " + ", ".join(
        f"{what} {-mean:+.2%} [{-high:+.2%}, {-low:+.2%}]" for what, (mean, low, high) in gains.items()
    )
    last = arms[-1]
    summary += f"; a step of {last} takes {seconds[last]:.2f} times full's, {shares[last]:.0%} of its parameters"
    mean, low, high = list(gains.values())[-1]
    details = {"gains": gains, "seconds_over_reference": seconds, "parameters_over_reference": shares}
    return Outcome("reported", summary, mean, (low, high), details)


def gain(one: Evidence, lower: str, higher: str) -> tuple[float, float, float]:
    """Share of the lower rank's loss that a doubling takes off: mean and 95 % interval."""
    times = log2(rank_of(one, higher) / rank_of(one, lower))
    return mean_interval(one.better_S(higher, lower) / one.score_S(lower).mean() / times, 0.95)


def rank_exponent(evidence: Sequence[Evidence]) -> Outcome:
    """SC-3: a in loss = A / (parameters^a examples^b) + E, fitted to each seed's curves of all ranks."""
    (one,) = evidence
    fits = [fit_law(points).law for points in points_by_seed(one)]
    exponent_S = np.array([law.size_exponent for law in fits])
    mean, low, high = mean_interval(exponent_S, 0.95)
    data = float(np.mean([law.data_exponent for law in fits]))
    support = (
        "supports" if low > -0.01 and high < 0.01 else "contradicts" if low > 0.01 or high < -0.01 else "leaves open"
    )
    summary = f"exponent of the adapter's parameters {mean:+.4f}, of the examples {data:+.3f}; {support} almost none"
    details = {"exponents": exponent_S.tolist(), "floors": [law.floor for law in fits]}
    return Outcome("reported", summary, mean, (low, high) if isfinite(low) else None, details)


def points_by_seed(one: Evidence) -> list[list[ScalingRun]]:
    """Of every seed the losses along the runs of all ranks; a constant rate makes a shorter run of each."""
    found: list[list[ScalingRun]] = [[] for _ in one.runs(one.reference)]
    for arm in by_rank(one):
        step_T, curve_ST = long_curve(one, arm)
        size, batch = float(parameters_of(one, arm)), batch_of(one)
        for points, curve_T in zip(found, curve_ST, strict=True):
            points += [ScalingRun(size, step * batch, loss) for step, loss in zip(step_T, curve_T, strict=True)]
    return found


def by_rank(one: Evidence) -> list[str]:
    """The adapters, the lowest rank first."""
    return sorted(one.others, key=lambda arm: rank_of(one, arm))


def parameters_of(one: Evidence, arm: str) -> int:
    tune = one.comparison.arms[arm].tune
    assert isinstance(tune, LoRA)
    return adapter_parameters(find_shape(one.comparison.recipe.model), tune)
