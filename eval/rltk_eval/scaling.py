"""Scaling laws of fine-tuning: loss against data and one more factor, and the data size at which two arms cross.

multiplicative   L = A / (X^a D^b) + E           Zhang et al. 2024, https://arxiv.org/abs/2402.17193, equation 1
additive         L = A / X^a + B / D^b + E       their alternative, after Hoffmann et al. 2022

X is the factor beside data (model size, rank, pretraining tokens), D the fine-tuning data. The fit is theirs: Huber
loss with delta 0.001, A, B and E positive, L-BFGS, the best of a grid of starts. They take residuals of L, Hoffmann
et al. of log L; which one was used is part of the fit. Needs numpy and scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, nan
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from rltk_eval.metrics import Interval
from rltk_eval.scaling_law import Form, Law, Problem, Residual, ScalingRun, best_parameters, bootstrap_parameters

LARGEST_DATA = 1e15
"""Crossings are looked for up to here."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted law and what it was fitted to; `draws` are laws fitted to bootstrap samples, if any were asked for.

    `has_size` is False where all runs have one X, whose exponent is then 0.
    """

    law: Law
    form: Form
    residual: Residual
    runs: tuple[ScalingRun, ...]
    has_size: bool
    draws: tuple[Law, ...] = ()

    @property
    def df(self) -> int:
        """Runs less free parameters."""
        return len(self.runs) - 3 - self.has_size - (self.form is Form.ADDITIVE)


class Crossing(NamedTuple):
    """The data size beyond which the reference's law is below the arm's; nan, and a reason, where there is none.

    `is_extrapolated`: it lies outside the data sizes that both arms were measured at.
    """

    data: float
    interval: Interval
    is_extrapolated: bool
    problem: str | None


class HeldOut(NamedTuple):
    """The mean absolute error on the runs of the largest X and of the largest D, which the fit did not see."""

    error: float
    fitted: int
    held_out: int


def fit_law(
    runs: Sequence[ScalingRun],
    form: Form = Form.MULTIPLICATIVE,
    *,
    residual: Residual = Residual.LOSS,
    draws: int = 0,
    seed: int = 0,
) -> Fit:
    """The law that fits best, and `draws` bootstrap fits; ValueError where the runs cannot tell its parameters."""
    has_size = _check(runs, form)
    problem = Problem.of(runs, form, residual, has_size)
    best_K = best_parameters(problem)
    laws = tuple(problem.law(drawn_K) for drawn_K in bootstrap_parameters(problem, best_K, draws, seed))
    return Fit(problem.law(best_K), form, residual, tuple(runs), has_size, laws)


def parameter_interval(fit: Fit, name: str, confidence: float = 0.95) -> Interval:
    """The bootstrap interval of a parameter, named as in `Law`; nan if the fit has no draws."""
    return _quantiles([getattr(law, name) for law in fit.draws], fit.df, confidence)


def exponent_difference(fit: Fit, other: Fit, confidence: float = 0.95) -> tuple[float, Interval]:
    """By how much one law's exponent of data exceeds the other's, with its bootstrap interval; nan without draws."""
    drawn = [one.data_exponent - two.data_exponent for one, two in _independent(fit, other)]
    interval = _quantiles(drawn, min(fit.df, other.df), confidence)
    return fit.law.data_exponent - other.law.data_exponent, interval


def held_out_error(runs: Sequence[ScalingRun], form: Form, *, residual: Residual = Residual.LOSS) -> HeldOut:
    """How well a law extrapolates: fitted without the largest X and the largest D, judged on them."""
    misses = held_out_misses(runs, form, residual=residual)
    return HeldOut(float(np.mean([abs(miss) for _, miss in misses])), len(runs) - len(misses), len(misses))


def held_out_misses(
    runs: Sequence[ScalingRun], form: Form, *, residual: Residual = Residual.LOSS
) -> list[tuple[ScalingRun, float]]:
    """The runs of the largest X and of the largest D, each with what a law fitted to the others predicts too much."""
    has_size = _check(runs, form)
    if len({run.size for run in runs}) == 2:
        raise ValueError("there are only 2 sizes: without the larger one no law of size can be fitted, so add a size")
    most_data, largest = max(run.data for run in runs), max(run.size for run in runs)
    seen = [run for run in runs if run.data < most_data and (run.size < largest or not has_size)]
    unseen = [run for run in runs if run not in seen]
    law = fit_law(seen, form, residual=residual).law
    return [(run, law.predict(run.size, run.data) - run.loss) for run in unseen]


def crossing(arm: Fit, reference: Fit, size: float, *, confidence: float = 0.95) -> Crossing:
    """Where the arm stops being better than the reference as data grow, at one X, with its bootstrap interval."""
    pairs = _independent(arm, reference)
    data = critical_data(arm.law, reference.law, size)
    if not isfinite(data):
        return Crossing(nan, Interval(nan, nan), False, f"the fitted laws do not cross at size {size:g}")
    drawn = [critical_data(one, other, size) for one, other in pairs]
    interval = _quantiles(drawn, min(arm.df, reference.df), confidence)
    low = max(min(run.data for run in fit.runs) for fit in (arm, reference))
    high = min(max(run.data for run in fit.runs) for fit in (arm, reference))
    problem = None if isfinite(interval.low) else "too many bootstrap fits do not cross, or there are none"
    return Crossing(data, interval, not low <= data <= high, problem)


def critical_data(arm: Law, reference: Law, size: float) -> float:
    """The data size at which the arm's predicted loss comes to exceed the reference's; nan if there is none."""

    def gap(log_data: float) -> float:
        return arm.predict(size, exp(log_data)) - reference.predict(size, exp(log_data))

    grid = np.linspace(0.0, log(LARGEST_DATA), 500)
    gaps = [gap(float(log_data)) for log_data in grid]
    for i in range(len(grid) - 1):
        if gaps[i] <= 0 < gaps[i + 1]:
            return exp(float(brentq(gap, grid[i], grid[i + 1])))  # type: ignore[arg-type]  # full_output is False
    return nan


def _independent(fit: Fit, other: Fit) -> list[tuple[Law, Law]]:
    """Draws of one generator seed resample both arms alike; in reverse order they are independent, as the runs are."""
    if len(fit.draws) != len(other.draws):
        raise ValueError(f"the fits have {len(fit.draws)} and {len(other.draws)} draws: fit both with as many")
    return list(zip(fit.draws, other.draws[::-1], strict=True))


def _quantiles(value_B: Sequence[float], df: int, confidence: float) -> Interval:
    """Quantiles of draws at the levels of Student's t; a draw that is undefined lies beyond either end."""
    if not value_B:
        return Interval(nan, nan)
    tail = float(ndtr(stdtrit(df, (1 - confidence) / 2)))
    low = np.quantile([value if isfinite(value) else -inf for value in value_B], tail, method="inverted_cdf")
    high = np.quantile([value if isfinite(value) else inf for value in value_B], 1 - tail, method="inverted_cdf")
    return Interval(float(low), float(high)) if isfinite(low) and isfinite(high) else Interval(nan, nan)


def _check(runs: Sequence[ScalingRun], form: Form) -> bool:
    """Whether the runs differ in X; ValueError where they cannot tell the law's parameters."""
    for run in runs:
        if not all(isfinite(value) and value > 0 for value in run):
            raise ValueError(f"{run}: size, data and loss must be above zero; leave out failed runs")
    sizes, data = {run.size for run in runs}, {run.data for run in runs}
    has_size = len(sizes) > 1
    if form is Form.ADDITIVE and not has_size:
        raise ValueError("all runs have one size, so an additive law cannot tell it from the floor: use multiplicative")
    if len(data) < 3:
        raise ValueError(f"a law with a floor needs at least 3 data sizes; got {len(data)}")
    needed = 2 + 3 + has_size + (form is Form.ADDITIVE)
    if len(runs) < needed:
        raise ValueError(f"the law has {needed - 2} parameters, so at least {needed} runs are needed; got {len(runs)}")
    return has_size
