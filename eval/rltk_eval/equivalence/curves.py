"""Whole learning curves: the area under one, and a band for the difference of two that holds everywhere at once.

Shapes: S seeds, T evaluations along the run, B bootstrap draws.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from rltk_eval.equivalence.paired import paired_mean
from rltk_eval.equivalence.scores import Array

BAND_DRAWS = 2_000
_NUMBERS_AT_ONCE = 2_000_000


class Band(NamedTuple):
    """A simultaneous confidence band of the mean difference; `critical` is its half-width in standard errors.

    It has no width up to where every seed scores the same in both arms, as at step 0 where nothing has been trained
    yet. All bounds are nan with fewer than 2 seeds, or where no evaluation has spread.
    """

    mean_T: Array
    low_T: Array
    high_T: Array
    critical: float

    def is_within(self, margin: float) -> bool:
        """Whether the curves are shown to differ by less than the margin everywhere; False where that is undefined."""
        return bool((self.low_T > -margin).all() and (self.high_T < margin).all())


def area_under_curve(step_T: Array, score_ST: Array) -> Array:
    """The mean height of each seed's curve: trapezoids, divided by the steps from the first evaluation to the last."""
    _check(step_T, score_ST)
    width_T = np.diff(step_T)
    return ((score_ST[:, 1:] + score_ST[:, :-1]) / 2 * width_T).sum(axis=1) / width_T.sum()


def difference_band(
    step_T: Array,
    arm_ST: Array,
    reference_ST: Array,
    *,
    confidence: float = 0.9,
    draws: int = BAND_DRAWS,
    seed: int = 0,
) -> Band:
    """The band of arm minus reference, row s being the same seed in both: mean +- c se(t), with one c for all t.

    c is the quantile of the largest |t statistic| along the curve (sup-t: Montiel Olea and Plagborg-Moller 2019,
    https://doi.org/10.1002/jae.2656), from a parametric bootstrap: as many normal curves as there are seeds, correlated
    like those observed, each draw with its own standard errors. For a single evaluation c is Student's t. Where a few
    seeds happen to differ by the same the spread of the other evaluations, their root mean square, stands in.
    """
    _check(step_T, arm_ST)
    _check(step_T, reference_ST)
    if arm_ST.shape != reference_ST.shape:
        raise ValueError(f"the arms have {len(arm_ST)} and {len(reference_ST)} curves: give the same seeds of both")
    gap_ST = arm_ST - reference_ST
    se_T = np.array([paired_mean(gap_S).se for gap_S in gap_ST.T])
    spread_ST = gap_ST[:, np.isfinite(se_T)]
    critical = _critical_value(spread_ST, confidence, draws, seed) if spread_ST.size else np.nan
    half_T = critical * _filled(se_T, (gap_ST == 0).all(axis=0))
    mean_T = gap_ST.mean(axis=0)
    return Band(mean_T, mean_T - half_T, mean_T + half_T, critical)


def _filled(se_T: Array, is_same_T: np.ndarray) -> Array:
    """Standard errors, those that few seeds leave undefined replaced; zero up to where the arms are still the same."""
    known_T = se_T[np.isfinite(se_T)]
    typical = sqrt(float(np.mean(known_T**2))) if len(known_T) else np.nan
    is_untrained_T = np.logical_and.accumulate(is_same_T)
    return np.where(np.isfinite(se_T), se_T, np.where(is_untrained_T, 0.0, typical))


def _critical_value(gap_ST: Array, confidence: float, draws: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    S, T = gap_ST.shape
    root_TT = np.linalg.cholesky(_correlation(gap_ST))
    block = max(1, _NUMBERS_AT_ONCE // gap_ST.size)
    largest = [
        _largest_t(rng.standard_normal((min(block, draws - start), S, T)) @ root_TT.T)
        for start in range(0, draws, block)
    ]
    return float(np.quantile(np.concatenate(largest), confidence))


def _largest_t(gap_BST: Array) -> Array:
    se_BT = gap_BST.std(axis=1, ddof=1) / sqrt(gap_BST.shape[1])
    return np.abs(gap_BST.mean(axis=1) / se_BT).max(axis=1)


def _correlation(gap_ST: Array) -> Array:
    """The correlation between evaluations, over seeds, one part in S of it taken for noise.

    S curves span S - 1 dimensions only, which makes the largest statistic look smaller than it is; lower correlations
    make it larger, so shrinking errs on the safe side.
    """
    S, T = gap_ST.shape
    unit_ST = (gap_ST - gap_ST.mean(axis=0)) / gap_ST.std(axis=0, ddof=1)
    return (1 - 1 / S) * unit_ST.T @ unit_ST / (S - 1) + np.eye(T) / S


def _check(step_T: Array, score_ST: Array) -> None:
    if len(step_T) < 2 or not (np.diff(step_T) > 0).all():
        raise ValueError(f"steps must be at least two and increase; got {step_T.tolist()}")
    if score_ST.ndim != 2 or score_ST.shape[1] != len(step_T) or not len(score_ST):
        raise ValueError(f"scores have shape {score_ST.shape}: give a row a seed with {len(step_T)} evaluations each")
    if not np.isfinite(score_ST).all():
        s, t = np.argwhere(~np.isfinite(score_ST))[0]
        raise ValueError(f"the score of row {s} (seed) at step {step_T[t]:g} is {score_ST[s, t]}: leave that seed out")
