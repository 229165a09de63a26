"""Robust summaries over seeds and tasks: interquartile mean and probability of improvement.

"Deep Reinforcement Learning at the Edge of the Statistical Precipice", 2021, https://arxiv.org/abs/2108.13264. There
runs are resampled within each task; here seeds are resampled whole, with all their tasks and in both arms at once,
because one training run scored on several tasks, and two arms of one seed, are not independent.

Shapes: S seeds, M tasks, B bootstrap draws.
"""

from typing import NamedTuple

import numpy as np

from rltk_eval.equivalence.bootstrap import DRAWS, resampled_seeds, seed_interval
from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval, wilson

TRIMMED = 0.25


class Estimate(NamedTuple):
    """A statistic and its interval; the interval is nan on both sides with fewer than 2 seeds."""

    value: float
    interval: Interval


def interquartile_mean(score_SM: Array, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """The mean of the middle half of all scores: the lowest and the highest quarter, rounded down, are left out.

    Scores of several tasks must be on one scale first, such as the share of the full arm's gain.
    """
    _check(score_SM)
    index_BS = resampled_seeds(len(score_SM), draws=draws, seed=seed)
    draw_B = _middle_mean(score_SM[index_BS].reshape(draws, -1))
    value = float(_middle_mean(score_SM.reshape(1, -1))[0])
    return Estimate(value, seed_interval(value, draw_B, len(score_SM), confidence))


def probability_of_improvement(
    arm_SM: Array, reference_SM: Array, *, confidence: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """The chance that a run of `arm` scores above one of `reference`, a tie counting half, averaged over tasks.

    Row s is the same seed in both. The Mann-Whitney statistic over all pairs of runs. If every run of one arm beats
    every run of the other, resampling finds no spread; then the interval is Wilson's for S independent pairs.
    """
    _check(arm_SM)
    _check(reference_SM)
    if arm_SM.shape != reference_SM.shape:
        raise ValueError(f"the arms have {arm_SM.shape} and {reference_SM.shape} scores: give seeds x tasks, paired")
    seeds, wins_SS = len(arm_SM), _wins(arm_SM, reference_SM)
    value = float(wins_SS.mean())
    if value in (0.0, 1.0):
        return Estimate(value, wilson(round(value * seeds), seeds, confidence))
    index_BS = resampled_seeds(seeds, draws=draws, seed=seed)
    draw_B = wins_SS[index_BS[:, :, None], index_BS[:, None, :]].mean(axis=(1, 2))
    low, high = seed_interval(value, draw_B, seeds, confidence)
    return Estimate(value, Interval(max(low, 0.0), min(high, 1.0)))


def _middle_mean(score_BK: Array) -> Array:
    cut = int(TRIMMED * score_BK.shape[1])
    return np.sort(score_BK, axis=1)[:, cut : score_BK.shape[1] - cut].mean(axis=1)


def _wins(arm_SM: Array, reference_SM: Array) -> Array:
    """Row i, column j: in which share of tasks run i of the arm beats run j of the reference."""
    gap_SSM = arm_SM[:, None] - reference_SM[None]
    return ((gap_SSM > 0) + 0.5 * (gap_SSM == 0)).mean(axis=2)


def _check(score_SM: Array) -> None:
    if score_SM.ndim != 2 or not score_SM.size:
        raise ValueError(f"scores have shape {score_SM.shape}: give a table of seeds x tasks with at least one of each")
    if not np.isfinite(score_SM).all():
        s, m = np.argwhere(~np.isfinite(score_SM))[0]
        raise ValueError(f"the score of row {s} (seed), column {m} (task) is {score_SM[s, m]}: leave that seed out")
