"""Interquartile mean and probability of improvement against hand-worked numbers and scipy."""

from math import isnan, nan

import numpy as np
import pytest
from rltk_eval.equivalence.aggregate import interquartile_mean, probability_of_improvement
from scipy.stats import mannwhitneyu, trim_mean


def test_interquartile_mean_by_hand():
    """Of 8 scores the lowest 2 and the highest 2 are left out: (3 + 4 + 5 + 6) / 4."""
    scores = np.array([[1.0, 100.0], [5.0, 3.0], [6.0, 4.0], [-50.0, 7.0]])
    assert interquartile_mean(scores, draws=10).value == 4.5
    assert interquartile_mean(np.array([[1.0], [2.0], [9.0]]), draws=10).value == 4.0  # a quarter of 3, rounded down


def test_interquartile_mean_equals_scipy():
    scores = np.random.default_rng(0).exponential(size=(7, 3))
    assert interquartile_mean(scores, draws=10).value == pytest.approx(trim_mean(scores.ravel(), 0.25))


def test_probability_of_improvement_by_hand():
    """Runs 3, 1 against 2, 1: 3 beats both, 1 loses and ties, (2 + 0.5) / 4."""
    assert probability_of_improvement(np.array([[3.0], [1.0]]), np.array([[2.0], [1.0]]), draws=50).value == 0.625


def test_probability_of_improvement_is_the_mean_mann_whitney_statistic():
    rng = np.random.default_rng(1)
    arm, reference = rng.normal(0.3, 1, (6, 3)), rng.normal(0, 1, (6, 3))
    expected = np.mean([mannwhitneyu(arm[:, m], reference[:, m]).statistic / 36 for m in range(3)])
    assert probability_of_improvement(arm, reference, draws=50).value == pytest.approx(expected)


def test_clear_separation_still_has_an_interval():
    """Wilson's for 5 of 5: its lower end is 5 / (5 + 1.96^2)."""
    high, low = np.arange(10.0, 15.0)[:, None], np.arange(5.0)[:, None]
    assert probability_of_improvement(high, low).interval == pytest.approx((5 / (5 + 1.959964**2), 1.0), abs=1e-6)
    assert probability_of_improvement(low, high).interval == pytest.approx((0, 1 - 5 / (5 + 1.959964**2)), abs=1e-6)


def test_intervals_hold_the_value_and_stay_in_range():
    rng = np.random.default_rng(2)
    for shift in (-1.5, 0.0, 1.5):
        value, (low, high) = probability_of_improvement(rng.normal(shift, 1, (5, 1)), rng.normal(0, 1, (5, 1)))
        assert 0 <= low <= value <= high <= 1
    value, (low, high) = interquartile_mean(rng.normal(size=(5, 2)))
    assert low < value < high


def test_one_seed_has_no_interval():
    assert all(map(isnan, interquartile_mean(np.ones((1, 5))).interval))
    assert all(map(isnan, probability_of_improvement(np.ones((1, 1)), np.ones((1, 1))).interval))


def test_bad_tables_are_refused():
    good = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"row 1 \(seed\), column 0 \(task\) is nan"):
        interquartile_mean(np.array([[1.0], [nan]]))
    with pytest.raises(ValueError, match="seeds x tasks"):
        interquartile_mean(np.ones(3))
    with pytest.raises(ValueError, match="seeds x tasks"):
        interquartile_mean(np.ones((0, 3)))
    with pytest.raises(ValueError, match="seeds x tasks, paired"):
        probability_of_improvement(good, np.ones((2, 2)))
    with pytest.raises(ValueError, match="is nan"):
        probability_of_improvement(good, np.full((3, 2), nan))
