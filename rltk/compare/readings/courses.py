"""Findings about whole learning curves, from the confirmation runs of a comparison.

Shapes: S seeds, T steps, A arms.
"""

from collections.abc import Sequence
from math import inf, log

import numpy as np
from rltk_eval.equivalence.curves import area_under_curve, difference_band
from rltk_eval.equivalence.paired import paired_mean, t_interval
from rltk_eval.equivalence.scores import Array
from scipy.stats import spearmanr

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome, Verdict, judged
from rltk.compare.readings.rates import rank_of

DRAWS = 2_000
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
    """Whether the step from which on an arm stays a margin above the reference's loss comes later with higher rank."""
    (one,) = evidence
    margin = one.conclusion["margin"]["value"]
    step_T, reference_ST = one.curve(one.reference, "heldout_loss")
    gaps = {arm: one.curve(arm, "heldout_loss")[1] - reference_ST for arm in one.others}
    ranks = np.array([rank_of(one, arm) for arm in gaps], float)
    left = {arm: leaves_at(step_T, gap_ST.mean(0), margin) for arm, gap_ST in gaps.items()}
    steps = {arm: None if step == inf else step for arm, step in left.items()}
    summary = "leaves full's curve at step " + ", ".join(
        f"{'never' if step is None else f'{step:g}'} ({arm})" for arm, step in steps.items()
    )
    value = correlation(ranks, list(left.values()))
    seeds, rng = len(reference_ST), np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = rng.integers(seeds, size=seeds)
        drawn.append(correlation(ranks, [leaves_at(step_T, gap[chosen].mean(0), margin) for gap in gaps.values()]))
    if value is None:
        return Outcome("inconclusive", f"{summary}; nothing to correlate", None, None, {"steps": steps})
    # Where no arm leaves, or all do at once, there is no trend.
    low, high = np.quantile([0.0 if one is None else one for one in drawn], [0.025, 0.975])
    verdict: Verdict = "inconclusive" if low <= 0 <= high else judged(low > 0)
    return Outcome(verdict, f"{summary}; Spearman {value:+.2f}", value, (float(low), float(high)), {"steps": steps})


def leaves_at(step_T: Array, gap_T: Array, margin: float) -> float:
    """The step from which on the gap exceeds the margin to the end; infinite where it does not at the end."""
    below = np.flatnonzero(gap_T <= margin)
    if not len(below):
        return float(step_T[0])
    return float(step_T[below[-1] + 1]) if below[-1] + 1 < len(step_T) else inf


def correlation(ranks: Array, steps: Sequence[float]) -> float | None:
    """Spearman's of the rank with the step; None where all steps are one."""
    if len(set(steps)) < 2:
        return None
    largest = max(step for step in steps if step != inf)
    finite = [2 * largest + 1 if step == inf else step for step in steps]
    return float(spearmanr([log(rank) for rank in ranks], finite).statistic)  # pyright: ignore[reportAttributeAccessIssue]  # scipy leaves its result untyped
