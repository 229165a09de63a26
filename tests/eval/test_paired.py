"""Paired differences against numbers worked out by hand, scipy, and what they cover in simulations."""

from math import isnan, sqrt

import numpy as np
import pytest
from rltk_eval.paired import clustered_difference, clustered_p, compare, discordant_interval, mcnemar_p
from scipy.stats import binomtest, ttest_1samp, ttest_rel


def test_mcnemar_by_hand():
    """Of 10 tosses, 2 or fewer or 8 or more heads: 2 (1 + 10 + 45) / 1024."""
    assert mcnemar_p(2, 8) == mcnemar_p(8, 2) == 112 / 1024
    assert mcnemar_p(5, 5) == mcnemar_p(0, 0) == 1
    assert mcnemar_p(0, 6) == 2 / 64


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (1, 9), (30, 30), (31, 30), (120, 70), (700, 612)])
def test_mcnemar_equals_scipys_binomial_test(only_a: int, only_b: int):
    expected = float(binomtest(only_a, only_a + only_b, 0.5).pvalue)
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected, abs=1e-9, rel=1e-9)


def test_discordant_interval_by_hand():
    """b + 1 = 13, c + 1 = 4, n + 2 = 102: 9 / 102 +- 1.959964 sqrt(17 - 81 / 102) / 102."""
    low, high = discordant_interval(12, 3, 100)
    assert low == pytest.approx(9 / 102 - 1.959963985 * sqrt(17 - 81 / 102) / 102, abs=1e-9)
    assert high == pytest.approx(9 / 102 + 1.959963985 * sqrt(17 - 81 / 102) / 102, abs=1e-9)
    assert discordant_interval(3, 12, 100) == pytest.approx((-high, -low))


def test_no_discordant_item_is_not_certainty():
    """+- 1.959964 sqrt(2) / 102."""
    assert discordant_interval(0, 0, 100) == pytest.approx((-0.027174, 0.027174), abs=1e-6)
    assert compare([[1, 0], [1, 1]] * 50, [[0, 1], [1, 1]] * 50).interval == discordant_interval(0, 0, 100)


def test_an_interval_stays_among_the_differences_there_are():
    assert discordant_interval(3, 0, 3).high == 1 == -discordant_interval(0, 3, 3).low
    assert clustered_difference([1.0, 1.0, 0.5]) == pytest.approx((5 / 6 - 4.302652730 / 6, 1.0))


def test_one_sample_an_item():
    found = compare([[1], [1], [1], [0], [0]], [[0], [0], [1], [1], [0]])
    assert (found.difference, found.items, found.only_a, found.only_b) == (pytest.approx(0.2), 5, 2, 1)
    assert found.interval == discordant_interval(2, 1, 5)
    assert (found.p, found.is_clustered) == (mcnemar_p(2, 1), False)


def test_several_samples_an_item_by_hand():
    """Items differ by 1, 0.5, -0.5 and 0: mean 0.25, variance 1.25 / 3, standard error sqrt(1.25 / 12); t 3.182446.
    The upper end would be 1.277."""
    found = compare([[1, 1], [1, 0], [0, 0], [1, 0]], [[0, 0], [0, 0], [1, 0], [1, 0]])
    error = sqrt(1.25 / 12)
    assert found.difference == 0.25
    assert found.interval == pytest.approx((0.25 - 3.182446305 * error, 1.0), abs=1e-9)
    expected = ttest_1samp([1, 0.5, -0.5, 0], 0).pvalue  # pyright: ignore[reportAttributeAccessIssue]  # untyped
    assert found.p == pytest.approx(expected, abs=1e-12)
    assert (found.only_a, found.only_b, found.is_clustered) == (2, 1, True)


def test_the_clustered_statistic_is_scipys_paired_one():
    rng = np.random.default_rng(0)
    a, b = rng.random(200), rng.random(200)
    expected = ttest_rel(a, b).pvalue  # pyright: ignore[reportAttributeAccessIssue]  # scipy's results are untyped
    differences = [float(difference) for difference in a - b]
    assert clustered_p(differences) == pytest.approx(expected, abs=1e-12)


def test_samples_may_differ_in_number():
    assert compare([[1, 0, 1, 0]], [[0]]).difference == 0.5
    assert compare([[1, 0]], [[1, 0, 1, 0]]).only_a == 0


def test_what_is_undefined_is_nan():
    nothing = compare([], [])
    assert isnan(nothing.difference) and isnan(nothing.p) and all(map(isnan, nothing.interval))
    alike = compare([[1, 1]] * 3, [[1, 0]] * 3)
    assert alike.difference == 0.5 and isnan(alike.p) and all(map(isnan, alike.interval))


def test_impossible_arguments_are_errors():
    with pytest.raises(ValueError, match="2 items against 1"):
        compare([[1], [0]], [[1]])
    with pytest.raises(ValueError, match="at least one sample"):
        compare([[1]], [[]])
    with pytest.raises(ValueError, match="among the 3 items"):
        discordant_interval(2, 2, 3)
    with pytest.raises(ValueError, match="cannot be negative"):
        mcnemar_p(-1, 2)


def test_swapping_the_sides_changes_the_sign_and_nothing_else():
    a, b = [[1, 0], [1, 1], [0, 1]], [[0, 0], [1, 0], [1, 1]]
    one, other = compare(a, b), compare(b, a)
    assert one.difference == -other.difference and one.p == other.p
    assert one.interval == pytest.approx((-other.interval.high, -other.interval.low))
    assert (one.only_a, one.only_b) == (other.only_b, other.only_a)


@pytest.mark.parametrize(
    ("n", "better", "worse"), [(50, 0.1, 0.1), (50, 0.3, 0.1), (100, 0.05, 0.02), (500, 0.1, 0.05), (1319, 0.03, 0.03)]
)
def test_intervals_of_single_samples_cover(n: int, better: float, worse: float):
    draws = np.random.default_rng(n).multinomial(n, [better, worse, 1 - better - worse], size=4000)
    hits = sum(
        low <= better - worse <= high for low, high in (discordant_interval(b, c, n) for b, c, _ in draws.tolist())
    )
    assert 0.93 <= hits / 4000 <= 0.975  # above 97 % only where discordant items are few, which errs on the safe side


@pytest.mark.parametrize(("n", "samples"), [(50, 4), (200, 8), (500, 2)])
def test_intervals_of_several_samples_cover_though_they_depend_on_their_item(n: int, samples: int):
    """Items of very different difficulty, on which A is right a tenth less often than B."""
    rng = np.random.default_rng(n)
    hits, rounds = 0, 1500
    for _ in range(rounds):
        b = rng.beta(0.5, 0.5, n)
        ones = rng.random((2, n, samples)) < np.stack([0.9 * b, b])[:, :, None]
        low, high = compare(*ones.astype(float).tolist()).interval
        hits += low <= -0.05 <= high
    assert 0.93 <= hits / rounds <= 0.97
