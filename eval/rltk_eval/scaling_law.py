"""The laws themselves, and their fit: Huber loss, L-BFGS, a grid of starts. `scaling.py` is what to call.

Shapes: R runs, K parameters (log A, a, b, log E, and for the additive law log B).
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import product
from math import exp, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

DELTA = 1e-3
"""Residuals beyond this count linearly."""
_EXPONENTS = (0.05, 0.3, 0.8)
_FLOORS = (0.1, 0.5, 0.9)
_SCALE_BOUNDS, _EXPONENT_BOUNDS = (-40.0, 40.0), (-1.0, 5.0)


class Form(str, Enum):
    MULTIPLICATIVE = "multiplicative"
    ADDITIVE = "additive"


class Residual(str, Enum):
    """What is compared with the measured loss: the predicted loss, or their logarithms."""

    LOSS = "loss"
    LOG_LOSS = "log_loss"


class ScalingRun(NamedTuple):
    """One finished run: the factor X, the data D and the loss it ended with."""

    size: float
    data: float
    loss: float


class Law(NamedTuple):
    """L = scale / (X^size_exponent D^data_exponent) + floor, or with `data_scale` for the second term if additive."""

    scale: float
    size_exponent: float
    data_exponent: float
    floor: float
    data_scale: float | None = None

    def predict(self, size: float, data: float) -> float:
        by_size, by_data = size**-self.size_exponent, data**-self.data_exponent
        if self.data_scale is None:
            return self.scale * by_size * by_data + self.floor
        return self.scale * by_size + self.data_scale * by_data + self.floor


class Problem(NamedTuple):
    """The runs as centred logarithms, and how parameters (log A, a, b, log E[, log B]) predict them."""

    x_R: Array
    d_R: Array
    loss_R: Array
    centre: tuple[float, float]
    form: Form
    residual: Residual
    has_size: bool

    @staticmethod
    def of(runs: Sequence[ScalingRun], form: Form, residual: Residual, has_size: bool) -> "Problem":
        x_R, d_R, loss_R = (np.array(column, dtype=np.float64) for column in zip(*runs, strict=True))
        x_R, d_R = np.log(x_R), np.log(d_R)
        centre = (float(x_R.mean()), float(d_R.mean()))
        return Problem(x_R - centre[0], d_R - centre[1], loss_R, centre, form, residual, has_size)

    @property
    def parameters(self) -> int:
        """How many parameters are free."""
        return 3 + self.has_size + (self.form is Form.ADDITIVE)

    def predict(self, parameter_K: Array) -> tuple[Array, Array]:
        """Predicted losses and their derivatives by the parameters."""
        c, a, b, e = parameter_K[:4]
        floor_R = np.full_like(self.x_R, np.exp(e))
        if self.form is Form.MULTIPLICATIVE:
            term_R = np.exp(c - a * self.x_R - b * self.d_R)
            return term_R + floor_R, np.array([term_R, -self.x_R * term_R, -self.d_R * term_R, floor_R])
        size_R, data_R = np.exp(c - a * self.x_R), np.exp(parameter_K[4] - b * self.d_R)
        by = [size_R, -self.x_R * size_R, -self.d_R * data_R, floor_R, data_R]
        return size_R + data_R + floor_R, np.array(by)

    def objective(self, parameter_K: Array) -> tuple[float, Array]:
        """The sum of Huber losses, in units of delta squared, and its gradient."""
        predicted_R, by_KR = self.predict(parameter_K)
        if self.residual is Residual.LOG_LOSS:
            residual_R, by_KR = np.log(predicted_R / self.loss_R) / DELTA, by_KR / predicted_R
        else:
            residual_R = (predicted_R - self.loss_R) / DELTA
        size_R = np.abs(residual_R)
        total = np.where(size_R < 1, residual_R**2 / 2, size_R - 0.5).sum()
        return float(total), by_KR @ np.clip(residual_R, -1, 1) / DELTA

    def law(self, parameter_K: Array) -> Law:
        """The law in the units of the runs."""
        c, a, b, e = map(float, parameter_K[:4])
        if self.form is Form.MULTIPLICATIVE:
            return Law(exp(c + a * self.centre[0] + b * self.centre[1]), a, b, exp(e))
        data_scale = exp(float(parameter_K[4]) + b * self.centre[1])
        return Law(exp(c + a * self.centre[0]), a, b, exp(e), data_scale)


def best_parameters(problem: Problem) -> Array:
    """The best of all starts, polished until nothing is gained: the loss is nearly absolute, which stalls L-BFGS."""
    tried = [_minimize(problem, start_K) for start_K in _starts(problem)]
    return _polish(problem, min(tried, key=lambda parameter_K: problem.objective(parameter_K)[0]))


def bootstrap_parameters(problem: Problem, parameter_K: Array, draws: int, seed: int) -> Iterator[Array]:
    """Fits to the fitted losses plus residuals drawn again.

    A nearly absolute loss passes through as many runs as there are parameters. Those residuals are zero by construction
    and would make the noise look smaller than it is; they are not drawn.
    """
    rng = np.random.default_rng(seed)
    predicted_R, _ = problem.predict(parameter_K)
    is_log = problem.residual is Residual.LOG_LOSS
    residual_R = np.log(problem.loss_R / predicted_R) if is_log else problem.loss_R - predicted_R
    noise = residual_R[np.argsort(np.abs(residual_R), kind="stable")][problem.parameters :]
    for _ in range(draws):
        drawn_R = rng.choice(noise, len(residual_R))
        loss_R = predicted_R * np.exp(drawn_R) if is_log else predicted_R + drawn_R
        yield _polish(problem._replace(loss_R=loss_R), parameter_K)


def _starts(problem: Problem) -> Iterator[Array]:
    """A grid of exponents and floors; scales such that the middle of the data is met."""
    exponents = _EXPONENTS if problem.has_size else (0.0,)
    for a, b, floor in product(exponents, _EXPONENTS, _FLOORS):
        lowest = float(problem.loss_R.min())
        above = log(float(np.median(problem.loss_R)) - floor * lowest * 0.999)
        start = [above, a, b, log(floor * lowest)]
        if problem.form is Form.ADDITIVE:
            start = [above - log(2), a, b, log(floor * lowest), above - log(2)]
        yield np.array(start)


def _polish(problem: Problem, parameter_K: Array) -> Array:
    value = problem.objective(parameter_K)[0]
    while True:
        better_K = _minimize(problem, parameter_K)
        gained = value - problem.objective(better_K)[0]
        if gained <= 1e-6 * value:
            return better_K if gained > 0 else parameter_K
        value, parameter_K = value - gained, better_K


def _minimize(problem: Problem, start_K: Array) -> Array:
    exponent = _EXPONENT_BOUNDS if problem.has_size else (0.0, 0.0)
    bounds = [_SCALE_BOUNDS, exponent, _EXPONENT_BOUNDS, _SCALE_BOUNDS, _SCALE_BOUNDS][: len(start_K)]
    result = minimize(problem.objective, start_K, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000})
    return result.x
