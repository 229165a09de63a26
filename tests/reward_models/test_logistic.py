"""Logistic regression without intercept, against closed forms, a general optimiser and simulated truth."""

import math

import numpy as np
import pytest
import scipy.optimize
from rltk_reward_models.logistic import fit_logistic, log_loss


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def test_one_column_by_hand():
    """Three rows of 1 and one of -1: sigmoid(w) = 3/4, w = ln 3."""
    fit = fit_logistic(np.array([[1.0], [1.0], [1.0], [-1.0]]), names(4))
    assert fit is not None and fit.weights_K[0] == pytest.approx(math.log(3), abs=1e-12)
    # Information 4 * 3/16 = 0.75; squared scores 3 / 16 + 9 / 16 = 0.75, times 4/3: variance 0.75 * 4/3 / 0.75^2.
    assert fit.errors_K[0] == pytest.approx(4 / 3)


def test_units_do_not_matter():
    rows_NK = np.random.default_rng(0).normal(0.3, 1, (200, 2))
    fit, scaled = fit_logistic(rows_NK, names(200)), fit_logistic(rows_NK * [1e6, 1e-6], names(200))
    assert fit is not None and scaled is not None
    assert scaled.weights_K * [1e6, 1e-6] == pytest.approx(fit.weights_K, rel=1e-9)
    assert scaled.errors_K * [1e6, 1e-6] == pytest.approx(fit.errors_K, rel=1e-9)


def test_the_likelihood_has_no_better_weights():
    rows_NK = np.random.default_rng(1).normal(0.2, 1, (300, 3))
    fit = fit_logistic(rows_NK, names(300))
    best = scipy.optimize.minimize(lambda w: log_loss(rows_NK @ w), np.zeros(3), tol=1e-12)
    assert fit is not None and fit.weights_K == pytest.approx(best.x, abs=1e-5)


def test_an_outlier_does_not_stop_it():
    """The row of 1e6 asks for w > 0 only; the others, three of 1 against one of -1, for ln 3."""
    fit = fit_logistic(np.array([[1.0]] * 300 + [[-1.0]] * 100 + [[1e6]]), names(401))
    assert fit is not None and fit.weights_K[0] == pytest.approx(math.log(3), abs=1e-9)


def test_errors_say_how_far_estimates_lie_from_the_truth():
    """Over 200 simulations the estimates spread as the errors say, though each row stands there four times."""
    draw, truth, found = np.random.default_rng(2), np.array([1.0, -0.5]), []
    for _ in range(200):
        rows_NK = draw.normal(0, 1, (250, 2))
        is_wrong = draw.random(250) > 1 / (1 + np.exp(-rows_NK @ truth))
        rows_NK[is_wrong] *= -1
        found.append(fit_logistic(np.repeat(rows_NK, 4, axis=0), [str(i // 4) for i in range(1000)]))
    z = np.array([(fit.weights_K - truth) / fit.errors_K for fit in found])
    assert z.mean(axis=0) == pytest.approx([0, 0], abs=0.35)
    assert z.std(axis=0) == pytest.approx([1, 1], abs=0.15)


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0], [2.0]],  # every row right for any w > 0
        [[-1.0], [-2.0]],
        [[1.0], [0.0]],  # none wrong
        [[0.0], [0.0]],
        [[1.0, 1.0], [-1.0, -1.0], [2.0, 2.0]],  # two columns that are one
        [[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]],  # a column without values
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],  # the second column is never wrong
        [[1.0, 2.0], [-1.0, 3.0], [0.5, 0.1]],  # neither is the sum
    ],
)
def test_what_has_no_estimate_has_none(rows: list[list[float]]):
    assert fit_logistic(np.array(rows), names(len(rows))) is None


def test_no_rows_have_no_estimate():
    assert fit_logistic(np.zeros((0, 2)), []) is None


def test_a_balanced_sample_is_zero():
    fit = fit_logistic(np.array([[0.3], [-0.3], [0.7], [-0.7]]), names(4))
    assert fit is not None and fit.weights_K[0] == pytest.approx(0.0, abs=1e-12)
