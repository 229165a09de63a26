"""The crossed bootstrap: its error by hand, its clusters, and what it cannot say."""

from math import isnan, sqrt

import numpy as np
import pytest
from rltk_eval.equivalence.bootstrap import crossed_bootstrap, crossed_interval, seed_interval

from tests.eval.paired_arms import pairs_of


def test_standard_error_by_hand():
    """Rows 3, 1 and columns 3, 1 about 2: [[4, 2], [2, 0]].

    MS_rows = 2 * 2 = 4, MS_columns = 4, MS_rest = 0: Var = 8 / 4, and Satterthwaite's df = 8^2 / (4^2 + 4^2) = 2.
    """
    crossed = crossed_bootstrap(pairs_of([[4.0, 2.0], [2.0, 0.0]]), draws=200)
    assert crossed.mean == 2.0
    assert crossed.se == pytest.approx(sqrt(2))
    assert crossed.df == pytest.approx(2)
    assert np.sqrt(np.mean(crossed.deviation_B**2)) == pytest.approx(crossed.se)


def test_where_only_seeds_differ_it_is_the_t_interval_over_seeds():
    """Constant rows 1..8: se = sqrt(6 / 8), df = 7, half-width t(0.95, 7) se = 1.894579 * 0.866025 = 1.64075."""
    crossed = crossed_bootstrap(pairs_of(np.arange(1.0, 9.0)[:, None] * np.ones(50)))
    assert crossed.se == pytest.approx(sqrt(6 / 8))
    assert crossed.df == pytest.approx(7)
    assert crossed_interval(crossed, 0.9) == pytest.approx((4.5 - 1.64075, 4.5 + 1.64075), rel=0.03)


def test_copies_of_an_item_in_one_cluster_add_no_confidence():
    rng = np.random.default_rng(0)
    once_SN = rng.normal(size=(6, 20)) + rng.normal(size=20)
    copied_SN = np.repeat(once_SN, 4, axis=1)
    clusters = tuple(f"template{i // 4}" for i in range(80))
    once, copied = crossed_bootstrap(pairs_of(once_SN)), crossed_bootstrap(pairs_of(copied_SN, clusters=clusters))
    naive = crossed_bootstrap(pairs_of(copied_SN))
    assert copied.se == pytest.approx(once.se)
    assert crossed_interval(copied, 0.9) == pytest.approx(crossed_interval(once, 0.9), abs=0.01)
    assert naive.se < 0.8 * once.se


def test_clusters_weigh_as_much_as_their_items():
    """Rows 1 and 3 whatever the item, so clusters add nothing, and every draw is the mean of two seeds: 1, 2 or 3.

    Residuals -+1 times (1.5, 0.5): MS_rows = 2 * 2 = 4, MS_columns = 0, MS_rest = 4 * 0.5^2 = 1, Var = 3 / 4.
    """
    clusters = ("a", "a", "a", "b")
    crossed = crossed_bootstrap(pairs_of([[1.0] * 4, [3.0] * 4], clusters=clusters), draws=400)
    assert crossed.mean == 2.0
    assert crossed.se == pytest.approx(sqrt(0.75))
    assert len({round(deviation, 9) for deviation in crossed.deviation_B}) == 3


def test_noise_alone_leaves_the_smaller_mean_square():
    """[[3, 0], [0, 1]]: MS_rows = MS_columns = 1, MS_rest = 4; 1 + 1 - 4 is no variance, so Var = 1 / 4."""
    crossed = crossed_bootstrap(pairs_of([[3.0, 0.0], [0.0, 1.0]]), draws=200)
    assert crossed.se == pytest.approx(0.5)
    assert crossed.df == 1


def test_draws_are_the_mean_of_the_resampled_table():
    """Two seeds and two items: a draw takes each row, or both, and each column, or both; before scaling."""
    crossed = crossed_bootstrap(pairs_of([[8.0, 4.0], [2.0, 0.0]]), draws=4000)
    possible = {8, 4, 2, 0, 6, 1, 5, 3.5}  # cells, row means, column means, the whole
    scale = min(abs(crossed.deviation_B[crossed.deviation_B > 0])) / 0.5  # 4 is the closest above the mean of 3.5
    assert {round(3.5 + d / scale, 6) for d in crossed.deviation_B} == possible
    assert np.mean(crossed.deviation_B == 0) == pytest.approx(1 / 4, abs=0.03)  # both rows and both columns


def test_undefined_is_nan():
    for table in ([[0.1, 0.2]], [[0.1], [0.2]], [0.1, 0.2], [[0.1, 0.1], [0.1, 0.1]]):
        crossed = crossed_bootstrap(pairs_of(table))
        assert isnan(crossed.se)
        assert all(map(isnan, crossed_interval(crossed, 0.9)))
    assert all(map(isnan, seed_interval(0.0, np.zeros(5), 1, 0.9)))


def test_seed_interval_by_hand():
    """Spread of draws 1, 5 seeds: t(0.975, 4) sqrt(5 / 4) = 2.776445 * 1.118034 = 3.104160."""
    assert seed_interval(2.0, np.array([1.0, 3.0]), 5, 0.95) == pytest.approx((2 - 3.10416, 2 + 3.10416), abs=1e-5)


def test_the_same_data_give_the_same_interval():
    table = np.random.default_rng(3).normal(size=(5, 1200))
    first, second = (crossed_interval(crossed_bootstrap(pairs_of(table), draws=1200), 0.9) for _ in range(2))
    assert first == second
    assert crossed_interval(crossed_bootstrap(pairs_of(table), draws=1200, seed=1), 0.9) != first
