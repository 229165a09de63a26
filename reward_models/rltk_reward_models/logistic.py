"""Logistic regression of "the chosen reply is preferred" on differences between the two replies.

Every row is written from the chosen reply's side, so its outcome is always 1 and an intercept would have no meaning:
it would favour a side of the pair by name. Shapes: N pairs, K differences, C prompts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltk_reward_models.pairs import sum_by

Floats = NDArray[np.float64]
STEPS = 100


class Fit(NamedTuple):
    weights_K: Floats
    errors_K: Floats
    """Standard errors, robust to pairs that share a prompt; nan for fewer than two prompts."""


def fit_logistic(rows_NK: Floats, prompts: Sequence[str]) -> Fit | None:
    """The weights w that maximise sum log sigmoid(x . w); None where no finite or no single w does.

    That is so when some w puts no row on the wrong side (complete or quasi-complete separation) and when columns are
    linearly dependent: Albert and Anderson 1984, https://doi.org/10.1093/biomet/71.1.1.
    """
    scales_K = np.sqrt(np.mean(rows_NK**2, axis=0)) if len(rows_NK) else np.zeros(rows_NK.shape[1])
    if not np.all(scales_K > 0):
        return None
    scaled_NK = rows_NK / scales_K
    if np.linalg.matrix_rank(scaled_NK, tol=1e-9 * np.sqrt(len(rows_NK))) < rows_NK.shape[1]:
        return None
    weights_K = _newton(scaled_NK)
    if weights_K is None:
        return None
    return Fit(weights_K / scales_K, _robust_errors(scaled_NK, weights_K, prompts) / scales_K)


def log_loss(leads_N: Floats) -> float:
    """Mean of -log sigmoid(lead), in nats."""
    return float(np.mean(np.logaddexp(0.0, -leads_N)))


def sigmoid(leads_N: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -leads_N))


def _newton(rows_NK: Floats) -> Floats | None:
    """Damped Newton steps from zero; None under separation, where each goes on as far as the one before."""
    weights_K = np.zeros(rows_NK.shape[1])
    for _ in range(STEPS):
        try:
            step_K = np.linalg.solve(_hessian(rows_NK, weights_K), rows_NK.T @ sigmoid(-rows_NK @ weights_K))
        except np.linalg.LinAlgError:
            return None
        weights_K = weights_K + _damped(rows_NK, weights_K, step_K) * step_K
        if np.abs(step_K).max() <= 1e-9 * np.abs(weights_K).max() + 1e-12:
            return weights_K
    return None


def _damped(rows_NK: Floats, weights_K: Floats, step_K: Floats) -> float:
    """The longest of 1, 1/2, 1/4 ... of the step that does not raise the loss, which is convex."""
    before, length = log_loss(rows_NK @ weights_K), 1.0
    while length > 1e-6 and log_loss(rows_NK @ (weights_K + length * step_K)) > before + 1e-15:
        length /= 2
    return length


def _hessian(rows_NK: Floats, weights_K: Floats) -> Floats:
    leads_N = rows_NK @ weights_K
    return rows_NK.T @ (rows_NK * (sigmoid(leads_N) * sigmoid(-leads_N))[:, None])


def _robust_errors(rows_NK: Floats, weights_K: Floats, prompts: Sequence[str]) -> Floats:
    """Liang and Zeger's sandwich, https://doi.org/10.1093/biomet/73.1.13, times C / (C - 1)."""
    bread_KK = np.linalg.inv(_hessian(rows_NK, weights_K))
    scores_CK = sum_by(prompts, rows_NK * sigmoid(-rows_NK @ weights_K)[:, None])
    count = len(scores_CK)
    if count < 2:
        return np.full(rows_NK.shape[1], np.nan)
    covariance_KK = bread_KK @ (scores_CK.T @ scores_CK) @ bread_KK * count / (count - 1)
    return np.sqrt(np.diag(covariance_KK))
