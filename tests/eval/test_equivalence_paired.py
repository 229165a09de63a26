"""t tests against numbers worked out by hand and against scipy."""

from math import isnan, sqrt
from typing import Any

import numpy as np
import pytest
from rltk_eval.equivalence.paired import p_above, p_below, p_different, p_equivalent, paired_mean, t_interval
from scipy.stats import ttest_1samp

DIFFERENCES = np.array([0.01, -0.01, 0.02, -0.02, 0.0])


def scipy_p(*args: Any, **options: Any) -> float:
    return float(ttest_1samp(*args, **options).pvalue)  # type: ignore[attr-defined]  # scipy's own result is untyped


def test_interval_by_hand():
    """Mean 0, variance 0.001 / 4, standard error sqrt(0.00025 / 5) = 0.00707107; t(0.95, 4) = 2.131847."""
    paired = paired_mean(DIFFERENCES)
    assert (paired.mean, paired.df) == (pytest.approx(0), 4)
    assert paired.sd == pytest.approx(sqrt(0.00025))
    assert paired.se == pytest.approx(0.00707107, abs=1e-8)
    assert t_interval(paired, 0.9) == pytest.approx((-0.0150744, 0.0150744), abs=1e-7)


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_p_values_equal_scipy(margin: float):
    rng = np.random.default_rng(0)
    for seeds in (2, 3, 8, 30):
        difference_S = rng.normal(0.01, 0.02, seeds)
        paired = paired_mean(difference_S)
        above = scipy_p(difference_S, -margin, alternative="greater")
        below = scipy_p(difference_S, margin, alternative="less")
        assert p_above(paired, -margin) == pytest.approx(above)
        assert p_below(paired, margin) == pytest.approx(below)
        assert p_equivalent(paired, margin) == pytest.approx(max(above, below))
        assert p_different(paired) == pytest.approx(scipy_p(difference_S, 0))
        low, high = ttest_1samp(difference_S, 0).confidence_interval(0.9)
        assert t_interval(paired, 0.9) == pytest.approx((low, high))


def test_equivalence_is_the_interval_inside_the_margin():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        paired = paired_mean(rng.normal(0.005, 0.02, 6))
        low, high = t_interval(paired, 0.9)
        assert (p_equivalent(paired, 0.02) < 0.05) == (low > -0.02 and high < 0.02)
        inside += low > -0.02 and high < 0.02
    assert 20 < inside < 280


def test_without_spread_nothing_is_shown():
    for difference_S in ([0.3], [0.0, 0.0], [0.1, 0.1, 0.1], [0.1 + 0.2, 0.3]):
        paired = paired_mean(np.array(difference_S))
        assert isnan(paired.se)
        assert all(map(isnan, t_interval(paired, 0.9)))
        assert isnan(p_equivalent(paired, 1.0))
        assert isnan(p_above(paired, -1.0))
        assert isnan(p_different(paired))
    assert isnan(paired_mean(np.array([0.3])).sd)
    assert paired_mean(np.array([0.3, 0.3])).sd == 0
