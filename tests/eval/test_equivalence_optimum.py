"""The best learning rate of a sweep, against planted parabolas and numpy's fit."""

from math import isnan, log10, nan

import numpy as np
import pytest
from rltk_eval.equivalence.optimum import SweepPoint, best_lr, lr_ratio

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)


def sweep(top: float, *, seeds: int = 3, noise: float = 0.0, curvature: float = -0.1) -> list[SweepPoint]:
    """A parabola with its top at log10(lr) = top; every seed has its own height."""
    rng = np.random.default_rng(0)
    return [
        SweepPoint(lr, seed, 0.6 + 0.05 * seed + curvature * (log10(lr) - top) ** 2 + noise * rng.normal())
        for seed in range(seeds)
        for lr in RATES
    ]


@pytest.mark.parametrize("top", [-4.5, -4.0, -3.3])
def test_a_planted_top_is_found(top: float):
    optimum = best_lr(sweep(top))
    assert optimum.lr == pytest.approx(10**top)
    assert optimum.is_interior and optimum.problem is None
    assert optimum.interval.low < 10**top < optimum.interval.high


def test_without_noise_the_shape_leaves_open_what_it_does():
    """Scores 1, 4, 5, 4, 1 at x = -2 .. 2: the line through 1 and 4 reaches 5 a third of a decade above -1.

    So the top lies from -2/3 to 2/3. Below a plateau (4, 4, 5) or a step (3, 4, 9) the neighbor is the bound.
    """
    scores = {1e-2: 1.0, 1e-1: 4.0, 1.0: 5.0, 1e1: 4.0, 1e2: 1.0}
    interval = best_lr(at_both_seeds(scores)).interval
    assert interval == pytest.approx((10 ** (-2 / 3), 10 ** (2 / 3)))
    for before, best in ((4.0, 5.0), (3.0, 9.0)):
        assert best_lr(at_both_seeds(scores | {1e-2: before, 1.0: best})).interval.low == pytest.approx(0.1)
    mirrored = best_lr(at_both_seeds(scores | {1e2: 4.0})).interval
    assert mirrored == pytest.approx((10 ** (-2 / 3), 10.0))


def test_rates_need_not_be_evenly_spaced():
    """Scores at x = -2, -1, 0, 0.5, 1: 1, 2, 4, 3.5, 2.

    4 - 2 x^2 goes through the middle three, so the top is at 0. Below, the way from 1 to 2 is flatter than that from 2
    to 4, and the neighbor is the bound; from -1 it is steeper, and reaches 4 two thirds of a decade above the neighbor.
    Above, the line through 2 and 3.5 falls by 3 a decade and was at 4 a sixth of a decade before 0.5.
    """
    found = best_lr(at_both_seeds({1e-2: 1.0, 1e-1: 2.0, 1.0: 4.0, 10**0.5: 3.5, 1e1: 2.0}))
    assert found.lr == pytest.approx(1.0)
    assert found.interval == pytest.approx((1e-1, 10 ** (0.5 - 1 / 6)))
    bent = best_lr(at_both_seeds({1e-2: -1.0, 1e-1: 2.0, 1.0: 4.0, 10**0.5: 3.5, 1e1: 2.0}))
    assert bent.interval.low == pytest.approx(10 ** (-1 + 2 / 3))


def test_two_rates_beside_each_other_that_may_both_be_best_are_both_in_the_interval():
    scores = {1e-2: 0.0, 1e-1: 0.5, 1.0: 0.99, 1e1: 1.0, 1e2: 0.5, 1e3: 0.0}
    noisy = [
        SweepPoint(lr, seed, score + 0.02 * (-1) ** (seed + place))
        for place, (lr, score) in enumerate(scores.items())
        for seed in (0, 1, 2)
    ]
    low, high = best_lr(noisy).interval
    assert low < 0.4 and high > 25


def test_rates_at_which_runs_fall_apart_do_not_move_the_top():
    scores = {1e-2: 0.2, 1e-1: 0.5, 1.0: 0.6, 1e1: 0.5, 1e2: 0.1, 1e3: -50.0}
    found = best_lr([*at_both_seeds(scores), SweepPoint(1e3, 2, 80.0)])
    assert found.lr == pytest.approx(1.0)


def at_both_seeds(scores: dict[float, float]) -> list[SweepPoint]:
    return [SweepPoint(lr, seed, score) for lr, score in scores.items() for seed in (0, 1)]


def test_three_points_by_hand():
    """Scores 0, 3, 2 at x = -1, 0, 1: a = -2, b = 1, so x = 0.25; three coefficients and no residual."""
    optimum = best_lr([SweepPoint(0.1, 0, 0.0), SweepPoint(1.0, 0, 3.0), SweepPoint(10.0, 0, 2.0)])
    assert optimum.lr == pytest.approx(10**0.25)
    assert all(map(isnan, optimum.interval))
    assert optimum.problem is not None and "no interval" in optimum.problem


def test_the_top_is_that_of_numpys_parabola_through_the_best_three():
    points = sweep(-3.8, noise=0.02)
    beside = [point for point in points if point.lr in (3e-5, 1e-4, 3e-4)]
    a, b, _ = np.polyfit([log10(p.lr) for p in beside], [p.score for p in beside], 2)
    assert log10(best_lr(points).lr) == pytest.approx(-b / (2 * a))


def test_a_seed_that_misses_a_rate_does_not_move_the_top():
    points = [p for p in sweep(-4.2) if not (p.seed == 2 and p.lr < 5e-5)]
    assert best_lr(points).lr == pytest.approx(10**-4.2)


def test_a_loss_has_a_bottom():
    losses = [SweepPoint(lr, seed, -score) for lr, seed, score in sweep(-4.2, noise=0.01)]
    assert best_lr(losses, higher_is_better=False).lr == pytest.approx(best_lr(sweep(-4.2, noise=0.01)).lr)


def test_the_wrong_curvature_is_nan_and_says_so():
    optimum = best_lr(sweep(-4.0, curvature=0.1))
    assert isnan(optimum.lr) and all(map(isnan, optimum.interval)) and not optimum.is_interior
    assert optimum.problem is not None and "bends the wrong way" in optimum.problem


def test_an_optimum_outside_the_sweep_is_flagged():
    optimum = best_lr(sweep(-2.5, noise=0.001))
    assert optimum.lr == pytest.approx(10**-2.5, rel=0.1)
    assert not optimum.is_interior
    assert optimum.problem is not None and "extend the sweep" in optimum.problem


def test_curvature_lost_in_noise_gives_no_interval():
    optimum = best_lr(sweep(-4.0, noise=0.02, curvature=-0.004))
    assert optimum.lr > 0
    assert all(map(isnan, optimum.interval))
    assert optimum.problem is not None and "within the noise" in optimum.problem


def test_ratio_of_two_optima():
    lora, full = best_lr(sweep(-3.5, noise=0.01)), best_lr(sweep(-4.5, noise=0.01))
    value, (low, high) = lr_ratio(lora, full)
    assert value == pytest.approx(lora.lr / full.lr) == pytest.approx(10, rel=0.3)
    assert low < value < high
    widths = [np.log10(one.interval.high / one.interval.low) for one in (lora, full)]
    assert max(widths) < np.log10(high / low) < sum(widths)  # independent errors do not add


def test_ratio_to_no_optimum_is_nan():
    value, interval = lr_ratio(best_lr(sweep(-3.5)), best_lr(sweep(-4.0, curvature=0.1)))
    assert isnan(value) and all(map(isnan, interval))
    with pytest.raises(ValueError, match="equally many"):
        lr_ratio(best_lr(sweep(-3.5), draws=10), best_lr(sweep(-3.5), draws=20))


def test_bad_sweeps_are_refused():
    with pytest.raises(ValueError, match="at least 3 learning rates; got 2"):
        best_lr([p for p in sweep(-4.0) if p.lr < 5e-5])
    for bad in (SweepPoint(0.0, 3, 0.5), SweepPoint(1e-4, 3, nan)):
        with pytest.raises(ValueError, match="seed 3: learning rate"):
            best_lr([*sweep(-4.0), bad])
    with pytest.raises(ValueError, match="occur twice"):
        best_lr([*sweep(-4.0), SweepPoint(1e-4, 0, 0.5)])
