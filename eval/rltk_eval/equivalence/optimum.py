"""The best learning rate of a sweep, and how far from there it may lie.

The optimum is the top of the parabola through the best rate by mean and one rate on either side of it, against
log10(lr). That parabola is a guess at the shape between rates, so the interval does not rest on it: scores are taken to
rise to one top, and to bend downwards next to it. Then the top lies between the neighbors of the best rate; and not so
near to a neighbor that the line from beyond it through it would pass below the best score. Where the scores
contradict the bend, as beside a plateau, the neighbor itself is the bound. Noise adds to that: means are drawn anew, as
the runs spread (Student's t, since few runs know their spread badly), and each draw chooses its own best rate.

Noise is estimated from the three rates, since that of a rate at which runs fall apart says nothing about theirs. What
says 95 % covers 96 to 100 % in simulation, over parabolas, plateaus and cliffs: what is not known of a shape is no
chance. With rates half a decade apart no interval is narrower than 0.6 decades; with rates halfway between the best and
its neighbors 0.3, and halfway again 0.15. Rates need not be evenly spaced, nor all chosen before scores are known.

Shapes: P runs, R learning rates, B bootstrap draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import NamedTuple

import numpy as np

from rltk_eval.equivalence.aggregate import Estimate
from rltk_eval.equivalence.bootstrap import DRAWS
from rltk_eval.equivalence.scores import Array
from rltk_eval.metrics import Interval

FARTHEST = 100.0
"""Decades from 1; an optimum beyond is no optimum, and its power of ten may be no float."""


class SweepPoint(NamedTuple):
    """The final score of one run of a sweep."""

    lr: float
    seed: int
    score: float


@dataclass(frozen=True, eq=False)
class Optimum:
    """`lr` is nan where the parabola has no top; `problem` says why, or why there is no interval; without it there is.

    `log10_lr_B` are draws of where the top may lie, for the optimum together with others: noise, and within what a
    draw's shape leaves open every place alike. nan where a draw's best rate is the lowest or highest.
    """

    lr: float
    interval: Interval
    is_interior: bool
    problem: str | None
    log10_lr_B: Array


class Means(NamedTuple):
    """The score of each rate, seeds' heights taken out, and its covariance in units of one run's variance."""

    mean_R: Array
    covariance_RR: Array
    squares: float
    df: int


def best_lr(
    points: Sequence[SweepPoint],
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Optimum:
    """The optimum of a sweep and its interval, both as learning rates; the interval is nan where there is a problem."""
    _check(points)
    rates = sorted({point.lr for point in points})
    x_R, sign = np.log10(rates), 1.0 if higher_is_better else -1.0
    means = _means([point._replace(score=sign * point.score) for point in points], rates)
    best = int(means.mean_R.argmax())
    middle = min(max(best, 1), len(rates) - 2)
    x = _top(x_R[middle - 1 : middle + 2], means.mean_R[middle - 1 : middle + 2])
    beside = rates[middle - 1 : middle + 2]
    noise = _means([point for point in points if point.lr in beside], beside)
    low_B, high_B, within_B = _draw(x_R, means, noise, draws, seed)
    interval = _quantiles(low_B, high_B, confidence)
    problem = _problem(x, 0 < best < len(rates) - 1, interval, noise.df)
    if problem is not None:
        interval = Interval(nan, nan)
    is_interior = isfinite(x) and 0 < best < len(rates) - 1
    return Optimum(10**x, Interval(10**interval.low, 10**interval.high), is_interior, problem, within_B)


def lr_ratio(arm: Optimum, reference: Optimum, *, confidence: float = 0.95) -> Estimate:
    """The arm's best learning rate over the reference's, from two sweeps of independent noise.

    nan if one has no top; the interval is nan if one has none. It covers more than it says, as those of the optima do.
    """
    if len(arm.log10_lr_B) != len(reference.log10_lr_B):
        raise ValueError("both optima need equally many bootstrap draws: fit both sweeps with the same `draws`")
    # Draws of one generator seed go up and down together; in reverse order they are independent, as the sweeps are.
    apart_B = arm.log10_lr_B - reference.log10_lr_B[::-1]
    is_lost_B = np.isnan(apart_B)
    interval = _quantiles(np.where(is_lost_B, -inf, apart_B), np.where(is_lost_B, inf, apart_B), confidence)
    if arm.problem is not None or reference.problem is not None:
        interval = Interval(nan, nan)
    return Estimate(arm.lr / reference.lr, Interval(10**interval.low, 10**interval.high))


def _means(points: Sequence[SweepPoint], rates: Sequence[float]) -> Means:
    """Least squares of a height a rate and one a seed: where a seed misses a rate, the others' means stay fair."""
    seeds = sorted({point.seed for point in points})
    of_rate_PR = np.array([[float(point.lr == lr) for lr in rates] for point in points])
    of_seed_PS = np.array([[float(point.seed == seed) for seed in seeds] for point in points])
    # Seeds' heights sum to zero, so that those of the rates are means.
    design_PK = np.column_stack([of_rate_PR, of_seed_PS[:, 1:] - of_seed_PS[:, :1]])
    score_P = np.array([point.score for point in points])
    solve_KP = np.linalg.pinv(design_PK)
    coefficient_K = solve_KP @ score_P
    residual_P = score_P - design_PK @ coefficient_K
    covariance_KK = solve_KP @ solve_KP.T
    df = len(points) - int(np.linalg.matrix_rank(design_PK))
    R = len(rates)
    return Means(coefficient_K[:R], covariance_KK[:R, :R], float(residual_P @ residual_P), df)


def _top(x_3: Array, mean_3: Array) -> float:
    """Of the parabola through three points; nan where it bends upwards, or hardly at all."""
    left, right = np.diff(mean_3) / np.diff(x_3)
    bend = (right - left) / (x_3[2] - x_3[0])
    x = (x_3[0] + x_3[1]) / 2 - left / (2 * bend) if bend < 0 else nan
    return float(x) if abs(x) < FARTHEST else nan


def _draw(x_R: Array, means: Means, noise: Means, draws: int, seed: int) -> tuple[Array, Array, Array]:
    """Of draws: bounds of the top, infinite where nothing bounds it, and a place between them (nan where there is
    none). Without degrees of freedom nothing is known."""
    if noise.df < 1:
        return np.full(draws, -inf), np.full(draws, inf), np.full(draws, nan)
    rng = np.random.default_rng(seed)
    scale_B = np.sqrt(noise.squares / rng.chisquare(noise.df, draws))
    root_RR = np.linalg.cholesky(means.covariance_RR)
    drawn_BR = means.mean_R + scale_B[:, None] * (rng.standard_normal((draws, len(x_R))) @ root_RR.T)
    low_B, high_B = _bound(x_R, drawn_BR), -_bound(-x_R[::-1], drawn_BR[:, ::-1])
    is_known_B = np.isfinite(low_B) & np.isfinite(high_B)
    share_B = rng.uniform(size=draws)
    within_B = (1 - share_B) * np.where(is_known_B, low_B, nan) + share_B * np.where(is_known_B, high_B, nan)
    return low_B, high_B, within_B


def _bound(x_R: Array, mean_BR: Array) -> Array:
    """The least x at which each row's top may lie: where the line through the two rates below the best one reaches it.

    The neighbor below where that line is flatter than the way up from there, or where there is no second rate below;
    -inf where the best rate is the lowest.
    """
    best_B, rows_B = mean_BR.argmax(axis=1), np.arange(len(mean_BR))
    next_B, after_B = np.maximum(best_B - 1, 0), np.maximum(best_B - 2, 0)
    rise_B = mean_BR[rows_B, best_B] - mean_BR[rows_B, next_B]
    before_B = mean_BR[rows_B, next_B] - mean_BR[rows_B, after_B]
    width_B, width_before_B = x_R[best_B] - x_R[next_B], x_R[next_B] - x_R[after_B]
    is_bent_B = (best_B > 1) & (before_B * width_B > rise_B * width_before_B)
    ahead_B = rise_B * width_before_B / np.where(is_bent_B, before_B, 1.0)
    return np.where(best_B == 0, -inf, x_R[next_B] + np.where(is_bent_B, ahead_B, 0.0))


def _quantiles(low_B: Array, high_B: Array, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low = np.quantile(low_B, tail, method="inverted_cdf")
    high = np.quantile(high_B, 1 - tail, method="inverted_cdf")
    return Interval(float(low), float(high)) if isfinite(low) and isfinite(high) else Interval(nan, nan)


def _problem(x: float, is_inside: bool, interval: Interval, df: int) -> str | None:
    if not isfinite(x):
        return "the scores have no top: the parabola bends the wrong way, so sweep a wider range"
    if not is_inside:
        return f"the lowest or highest rate scores best (optimum {10**x:.3g}), so extend the sweep towards it"
    if df < 1:
        return "one run a rate says nothing of noise, so no interval: add a seed"
    if not isfinite(interval.low):
        return "which rate is best is within the noise, so the optimum has no interval: add seeds or a wider range"
    return None


def _check(points: Sequence[SweepPoint]) -> None:
    for point in points:
        if not (isfinite(point.lr) and point.lr > 0 and isfinite(point.score)):
            raise ValueError(f"seed {point.seed}: learning rate {point.lr}, score {point.score}; leave out failed runs")
    if len({(point.lr, point.seed) for point in points}) < len(points):
        raise ValueError("a learning rate and seed occur twice: give each run once")
    rates = len({point.lr for point in points})
    if rates < 3:
        raise ValueError(f"a parabola needs at least 3 learning rates; got {rates}")
