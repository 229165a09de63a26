"""Student's t against tables and scipy, and what intervals over few items cover in simulations."""

from math import isnan, pi, tan

import numpy as np
import pytest
from numpy.typing import NDArray
from rltk_eval.metrics import clustered_interval, normal_quantile, t_factor
from rltk_eval.paired import clustered_difference
from rltk_eval.student import t_quantile, t_two_sided_p
from rltk_reward_models.pairs import clustered_mean, t_interval
from scipy.special import stdtr, stdtrit

ITEMS, ROUNDS = 8, 2000


def test_quantiles_are_those_of_the_tables():
    """One degree of freedom is Cauchy's distribution; 2.365 and 2.045 are printed for 7 and 29."""
    assert t_quantile(0.975, 1) == pytest.approx(tan(0.475 * pi))
    assert t_factor(0.95, 7) == pytest.approx(2.365, abs=5e-4)
    assert t_factor(0.95, 29) == pytest.approx(2.045, abs=5e-4)
    assert t_factor(0.95, 10**6) == pytest.approx(normal_quantile(0.95), abs=1e-5)
    assert isnan(t_factor(0.95, 0)) and isnan(t_two_sided_p(1.0, 0))


@pytest.mark.parametrize("df", [1, 2, 3, 7, 30, 199, 1318, 10**5])
def test_it_is_scipys(df: int):
    for t in (0.0, 1e-6, 0.5, 1.96, 4.0, 20.0):
        assert t_two_sided_p(t, df) == t_two_sided_p(-t, df) == pytest.approx(2 * stdtr(df, -t), rel=1e-8)
    for probability in (0.5, 0.6, 0.9, 0.975, 0.9995, 0.9999995):
        assert t_quantile(probability, df) == pytest.approx(stdtrit(df, probability), rel=1e-8, abs=1e-12)


def test_a_p_value_and_its_interval_agree():
    for df in (1, 7, 200):
        assert t_two_sided_p(t_factor(0.95, df), df) == pytest.approx(0.05)
        assert t_two_sided_p(-t_factor(0.99, df), df) == pytest.approx(0.01)
    assert t_two_sided_p(0.0, 5) == 1


def simulated() -> NDArray[np.float64]:
    """[rounds, items, 3 samples] of mean 0.1; the samples of an item share two thirds of their variance."""
    rng = np.random.default_rng(8)
    shared, own = rng.normal(0.1, 0.2, (ROUNDS, ITEMS, 1)), rng.normal(0, 0.14, (ROUNDS, ITEMS, 3))
    return shared + own


def coverage(intervals: list[tuple[float, float]]) -> float:
    return sum(low <= 0.1 <= high for low, high in intervals) / len(intervals)


def test_intervals_over_eight_items_cover():
    values = simulated()
    prompts = [str(item) for item in range(ITEMS) for _ in range(3)]
    means = [clustered_mean(one.ravel().tolist(), prompts) for one in values]
    assert 0.93 <= coverage([clustered_interval(one.tolist()) for one in values]) <= 0.97
    assert 0.93 <= coverage([t_interval(mean) for mean in means]) <= 0.97
    differences = [clustered_difference(one.mean(axis=1).tolist()) for one in values]
    assert 0.93 <= coverage([interval for interval in differences if interval is not None]) <= 0.97


def test_the_normal_quantile_would_be_too_narrow_for_them():
    """The chance that a t of 7 degrees of freedom lies within 1.96 is 0.909."""
    means = [(float(one.mean()), float(one.mean(axis=1).std(ddof=1)) / ITEMS**0.5) for one in simulated()]
    z = normal_quantile(0.95)
    assert coverage([(mean - z * error, mean + z * error) for mean, error in means]) == pytest.approx(0.909, abs=0.015)
