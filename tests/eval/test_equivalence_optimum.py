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
    assert optimum.interval == pytest.approx((10**top, 10**top))


def test_three_points_by_hand():
    """Scores 0, 3, 2 at x = -1, 0, 1: a = -2, b = 1, so x = 0.25; three coefficients and no residual."""
    optimum = best_lr([SweepPoint(0.1, 0, 0.0), SweepPoint(1.0, 0, 3.0), SweepPoint(10.0, 0, 2.0)])
    assert optimum.lr == pytest.approx(10**0.25)
    assert all(map(isnan, optimum.interval))
    assert optimum.problem is not None and "no interval" in optimum.problem


def test_the_fit_is_numpys_when_seeds_are_complete():
    points = sweep(-3.8, noise=0.02)
    a, b, _ = np.polyfit([log10(p.lr) for p in points], [p.score for p in points], 2)
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
    assert np.log10(high / low) == pytest.approx(np.hypot(*widths), rel=0.05)  # independent errors add in squares


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
