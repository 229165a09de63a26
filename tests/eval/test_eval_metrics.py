"""Intervals against numbers worked out by hand and against scipy; pass@k against enumeration."""

from itertools import combinations
from math import isnan, nan, sqrt

import pytest
from rltk_eval.metrics import clustered_interval, majority, mean_of_items, pass_at_k, wilson
from scipy.stats import binomtest, t


def test_wilson_by_hand():
    """5 of 10, z = 1.959964: centre 0.5, half-width 0.5 z / sqrt(10 + z^2) = 0.263407."""
    assert wilson(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0, 0.277533), abs=1e-6)  # z^2 / (10 + z^2)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_wilson_equals_scipy(confidence: float):
    for n in (1, 2, 7, 50, 1319):
        for correct in {0, 1, n // 3, n - 1, n}:
            expected = binomtest(correct, n).proportion_ci(confidence, method="wilson")
            assert wilson(correct, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_ends_are_exact_and_never_of_zero_width():
    assert wilson(0, 7).low == 0 < wilson(0, 7).high
    assert wilson(7, 7).low < wilson(7, 7).high == 1


def test_undefined_intervals_are_nan():
    assert all(map(isnan, wilson(0, 0)))
    assert all(map(isnan, clustered_interval([])))
    assert all(map(isnan, clustered_interval([[1, 0, 1]])))
    assert isnan(mean_of_items([]))


def test_impossible_arguments_are_errors():
    for correct, n in [(3, 2), (-1, 2), (1, -1)]:
        with pytest.raises(ValueError, match="must lie between"):
            wilson(correct, n)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=95)
    with pytest.raises(ValueError, match="at least one value"):
        clustered_interval([[1.0], []])
    with pytest.raises(ValueError, match="confidence"):
        clustered_interval([[1.0], [0.0]], confidence=95)


def test_clustered_interval_by_hand():
    """Item means 1, 0.5, 0: mean 0.5, variance 0.25, standard error sqrt(0.25 / 3) = 0.288675; t is 4.302653 for 2."""
    low, high = clustered_interval([[1, 1], [1, 0], [0, 0]])
    assert low == pytest.approx(0.5 - 4.302653 * 0.288675, abs=1e-5)
    assert high == pytest.approx(0.5 + 4.302653 * 0.288675, abs=1e-5)


def test_clustered_interval_is_millers_times_the_small_sample_correction():
    values = [[1, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 1]]
    mean, n, c = sum(map(sum, values)) / 20, 20, 5
    miller = sqrt(sum((x - mean) * (y - mean) for item in values for x in item for y in item)) / n
    low, high = clustered_interval(values, confidence=0.9)
    assert (high - low) / 2 == pytest.approx(t.ppf(0.95, c - 1) * miller * sqrt(c / (c - 1)), abs=1e-12)


def test_repeating_a_sample_adds_no_confidence():
    once, often = [[1], [0], [1], [1]], [[1] * 8, [0] * 8, [1] * 8, [1] * 8]
    assert clustered_interval(often) == pytest.approx(clustered_interval(once))


def test_every_item_weighs_the_same():
    assert mean_of_items([[1, 1, 1, 1, 1], [0]]) == 0.5


def test_pass_at_k_by_hand():
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)  # of the 6 pairs only one has no correct sample
    assert pass_at_k(10, 0, 5) == 0
    assert pass_at_k(10, 10, 5) == 1
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)


def test_pass_at_k_equals_counting_all_draws():
    for n, correct, k in [(6, 1, 3), (6, 4, 2), (7, 3, 4), (5, 5, 5)]:
        draws = list(combinations([True] * correct + [False] * (n - correct), k))
        assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_is_undefined_for_more_draws_than_samples():
    assert pass_at_k(3, 3, 4) is nan
    with pytest.raises(ValueError, match="at least 1"):
        pass_at_k(3, 3, 0)
    with pytest.raises(ValueError, match="between 0 and n"):
        pass_at_k(3, 4, 1)


def test_the_majority_is_the_answer_given_most_often():
    assert majority(["5", "7", "7"]) == "7"
    assert majority(["5", "7"]) == "5"
    assert majority([None, None, "7"]) == "7"
    assert majority([None]) is majority([]) is None
