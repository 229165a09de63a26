"""The best learning rate of a sweep: the top of a parabola through the final scores against log10(lr).

score = c_seed + b x + a x^2 with x = log10(lr), by least squares; each seed has its own height, which does not move the
top. The optimum is x = -b / (2 a). Its interval is a parametric bootstrap: coefficients drawn as least squares spreads
them, with the scale of the noise drawn too, since few runs know it badly (a multivariate t distribution). It takes the
noise to be alike at all learning rates; leave out rates at which runs fall apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log10, nan
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
    """`lr` is nan where the parabola has no top; `problem` says why, or why the optimum or its interval is doubtful.

    `log10_lr_B` are the bootstrap's optima, nan where a draw had none.
    """

    lr: float
    interval: Interval
    is_interior: bool
    problem: str | None
    log10_lr_B: Array


def best_lr(
    points: Sequence[SweepPoint],
    *,
    higher_is_better: bool = True,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Optimum:
    """The optimum of a sweep and its interval, both as learning rates.

    The interval is nan without residuals to judge from, and where so many draws have no optimum that it has no end.
    """
    _check(points)
    sign = 1.0 if higher_is_better else -1.0
    score_P = sign * np.array([point.score for point in points])
    x_P = np.array([log10(point.lr) for point in points])
    design_PK = _design(points, x_P)
    solve_KP = np.linalg.pinv(design_PK)
    coefficient_K = solve_KP @ score_P
    residual_P, df = score_P - design_PK @ coefficient_K, len(points) - design_PK.shape[1]
    draw_BK = _draw_coefficients(coefficient_K[:2], residual_P, (solve_KP @ solve_KP.T)[:2, :2], df, draws, seed)
    draw_B = _top(draw_BK) + x_P.mean()
    x = float(_top(coefficient_K[None, :2])[0]) + float(x_P.mean())
    x = x if abs(x) < FARTHEST else nan
    interval = _quantiles(draw_B, confidence) if isfinite(x) else Interval(nan, nan)
    is_interior = bool(x_P.min() < x < x_P.max())
    problem = _problem(x, is_interior, interval, df)
    return Optimum(10**x, Interval(10**interval.low, 10**interval.high), is_interior, problem, draw_B)


def lr_ratio(arm: Optimum, reference: Optimum, *, confidence: float = 0.95) -> Estimate:
    """The arm's best learning rate over the reference's, from two sweeps of independent noise; nan if one has none.

    With as few as 2 seeds of 5 rates in each sweep the interval is wide: what says 95 % covers 98 %.
    """
    if len(arm.log10_lr_B) != len(reference.log10_lr_B):
        raise ValueError("both optima need equally many bootstrap draws: fit both sweeps with the same `draws`")
    # Draws of one generator seed go up and down together; in reverse order they are independent, as the sweeps are.
    interval = _quantiles(arm.log10_lr_B - reference.log10_lr_B[::-1], confidence)
    if not isfinite(arm.lr / reference.lr):
        interval = Interval(nan, nan)
    return Estimate(arm.lr / reference.lr, Interval(10**interval.low, 10**interval.high))


def _design(points: Sequence[SweepPoint], x_P: Array) -> Array:
    """Columns: b, a, and one height a seed; x is centred, which keeps the fit well conditioned."""
    seeds = sorted({point.seed for point in points})
    height_PS = np.array([[float(point.seed == seed) for seed in seeds] for point in points])
    centred_P = x_P - x_P.mean()
    return np.column_stack([centred_P, centred_P**2, height_PS])


def _top(coefficient_BK: Array) -> Array:
    """-b / (2 a) where the parabola opens downwards, else nan."""
    b_B, a_B = coefficient_BK[:, 0], coefficient_BK[:, 1]
    return np.where(a_B < 0, -b_B / np.where(a_B < 0, 2 * a_B, 1.0), nan)


def _draw_coefficients(
    coefficient_K: Array, residual_P: Array, inverse_KK: Array, df: int, draws: int, seed: int
) -> Array:
    """Draws of b and a from their multivariate t distribution; nan without degrees of freedom."""
    if df < 1:
        return np.full((draws, 2), nan)
    rng = np.random.default_rng(seed)
    normal_BK = rng.standard_normal((draws, 2)) @ np.linalg.cholesky(inverse_KK).T
    scale_B = np.sqrt((residual_P @ residual_P) / rng.chisquare(df, draws))
    return coefficient_K + scale_B[:, None] * normal_BK


def _quantiles(draw_B: Array, confidence: float) -> Interval:
    """Quantiles of draws; one without an optimum, or with one out of all bounds, lies beyond either end."""
    is_lost_B = ~(np.abs(draw_B) < FARTHEST)
    tail = (1 - confidence) / 2
    low = np.quantile(np.where(is_lost_B, -inf, draw_B), tail, method="inverted_cdf")
    high = np.quantile(np.where(is_lost_B, inf, draw_B), 1 - tail, method="inverted_cdf")
    return Interval(float(low), float(high)) if isfinite(low) and isfinite(high) else Interval(nan, nan)


def _problem(x: float, is_interior: bool, interval: Interval, df: int) -> str | None:
    if not isfinite(x):
        return "the scores have no top: the parabola bends the wrong way, so sweep a wider range"
    if not is_interior:
        return f"the optimum ({10**x:.3g}) lies outside the rates that were tried, so extend the sweep towards it"
    if df < 1:
        return "there are as many coefficients as runs, so no interval: add a seed or a learning rate"
    if not isfinite(interval.low):
        return "the curvature is within the noise, so the optimum has no interval: add seeds or a wider range"
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
