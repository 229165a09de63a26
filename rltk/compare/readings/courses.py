"""Findings about whole learning curves, from the confirmation runs of a comparison.

Shapes: S seeds, T steps, A arms, B draws.
"""

from collections.abc import Sequence
from math import inf

import numpy as np
from rltk_eval.equivalence.curves import area_under_curve, difference_band
from rltk_eval.equivalence.paired import paired_mean, t_interval
from rltk_eval.equivalence.scores import Array
from scipy.stats import rankdata

from rltk.compare.evidence import Evidence
from rltk.compare.optima import number
from rltk.compare.outcome import Outcome, Verdict, judged
from rltk.compare.readings.rates import rank_of

DRAWS = 9_999
TAIL = 0.025
"""Of a two-sided test at 5 %."""
SAME = 1e-9
"""Correlations that differ by less are one, up to rounding."""
BAND = 2.0
"""Margins that the band may reach."""


def same_course(evidence: Sequence[Evidence]) -> Outcome:
    """The area under each arm's reward curve against the reference's, and a band for the difference of the curves."""
    (one,) = evidence
    margin = one.conclusion["margin"]["value"]
    step_T, reference_ST = one.curve(one.reference, "reward")
    areas, within, is_refuted = {}, {}, False
    for arm in one.others:
        _, reward_ST = one.curve(arm, "reward")
        area = paired_mean(area_under_curve(step_T, reward_ST) - area_under_curve(step_T, reference_ST))
        low, high = t_interval(area, 0.9)
        band = difference_band(step_T, reward_ST, reference_ST)
        areas[arm] = (area.mean, (low, high))
        within[arm] = -margin < low and high < margin and band.is_within(BAND * margin)
        outside = (band.low_T > BAND * margin) | (band.high_T < -BAND * margin)
        is_refuted |= low > margin or high < -margin or bool(outside.any())
    worst = max(areas, key=lambda arm: abs(areas[arm][0]))
    verdict: Verdict = "not reproduced" if is_refuted else "reproduced" if all(within.values()) else "inconclusive"
    summary = "mean reward along the run, less full's: " + ", ".join(
        f"{arm} {100 * area:+.1f} points{'' if within[arm] else ' (not within)'}" for arm, (area, _) in areas.items()
    )
    details = {"areas": {arm: [area, *bounds] for arm, (area, bounds) in areas.items()}, "within": within}
    return Outcome(verdict, summary, areas[worst][0], areas[worst][1], details)


def departure(evidence: Sequence[Evidence]) -> Outcome:
    """Whether the step from which on an arm stays a margin above the reference's loss comes later with higher rank.

    Spearman's, seed by seed, and the mean of it over seeds. Judged by permuting the ranks of each seed's arms (Page
    1963, https://doi.org/10.1080/01621459.1963.10500843), which is exact for any number of seeds; resampled seeds are
    not: 2 of them find a trend in nothing 1 time in 3, and 3 of them 1 time in 10.
    """
    (one,) = evidence
    margin = one.conclusion["margin"]["value"]
    step_T, reference_ST = one.curve(one.reference, "heldout_loss")
    gaps = {arm: one.curve(arm, "heldout_loss")[1] - reference_ST for arm in one.others}
    left = {arm: leaves_at(step_T, gap_ST.mean(0), margin) for arm, gap_ST in gaps.items()}
    steps = {arm: number(step) for arm, step in left.items()}
    summary = "leaves full's curve at step " + ", ".join(
        f"{'never' if step is None else f'{step:g}'} ({arm})" for arm, step in steps.items()
    )
    left_SA = np.array([[leaves_at(step_T, gap_T, margin) for gap_T in gap_ST] for gap_ST in gaps.values()]).T
    details = {
        "steps": steps,
        "by_seed": {arm: [*map(number, left_S)] for arm, left_S in zip(gaps, left_SA.T, strict=True)},
    }
    if all(len(set(left_A)) < 2 for left_A in left_SA.tolist()):
        return Outcome("inconclusive", f"{summary}; nothing to correlate", None, None, details)
    value, later, earlier = trend(np.array([rank_of(one, arm) for arm in gaps], float), left_SA)
    verdict: Verdict = "inconclusive" if min(later, earlier) > TAIL else judged(later <= TAIL)
    summary = f"{summary}; Spearman {value:+.2f}, p {min(1.0, 2 * min(later, earlier)):.2g}"
    return Outcome(verdict, summary, value, None, details)


def leaves_at(step_T: Array, gap_T: Array, margin: float) -> float:
    """The step from which on the gap exceeds the margin to the end; infinite where it does not at the end."""
    below = np.flatnonzero(gap_T <= margin)
    if not len(below):
        return float(step_T[0])
    return float(step_T[below[-1] + 1]) if below[-1] + 1 < len(step_T) else inf


def trend(rank_A: Array, left_SA: Array) -> tuple[float, float, float]:
    """Spearman's of the rank with the step, averaged over seeds, and the chances of as much and of as little, were
    ranks without effect. Seeds in which all arms leave at once count as zero."""
    place_SA = np.array([unit(left_A) for left_A in left_SA])
    place_A = unit(rank_A)
    rng = np.random.default_rng(0)
    permuted_B = np.zeros(DRAWS)
    for of_seed_A in place_SA:
        permuted_B += rng.permuted(np.tile(place_A, (DRAWS, 1)), axis=1) @ of_seed_A / len(place_SA)
    value = float((place_SA @ place_A).mean())
    # The data are one more draw, which keeps the level exact (Davison and Hinkley 1997, section 4.2).
    above = (1 + np.count_nonzero(permuted_B >= value - SAME)) / (DRAWS + 1)
    below = (1 + np.count_nonzero(permuted_B <= value + SAME)) / (DRAWS + 1)
    return value, above, below


def unit(value_A: Array) -> Array:
    """Ranks (ties share theirs), centred and of length 1, so that products are Spearman's; zero where all are tied."""
    centred_A = rankdata(value_A) - (len(value_A) + 1) / 2
    length = float(np.linalg.norm(centred_A))
    return centred_A / length if length else centred_A
