"""Areas under learning curves by hand, and bands against the t interval."""

from math import isnan, nan

import numpy as np
import pytest
from rltk_eval.equivalence.curves import area_under_curve, difference_band
from scipy.stats import t

STEPS = np.array([0.0, 10.0, 40.0])


def test_area_by_hand():
    """(10 (0 + 1) / 2 + 30 (1 + 0.5) / 2) / 40 = 27.5 / 40; a flat curve has its own height."""
    assert area_under_curve(STEPS, np.array([[0.0, 1.0, 0.5], [0.3, 0.3, 0.3]])) == pytest.approx([0.6875, 0.3])


def test_a_band_at_one_evaluation_is_the_t_interval():
    """At the other two all seeds agree, so nothing is added for looking there; at the last by chance, so that the
    spread of the middle stands in; at the first because nothing has been trained."""
    wobble = np.array([0.1, -0.1, 0.2, -0.2, 0.05, -0.05])
    arm = np.column_stack([np.zeros(6), 0.3 + wobble, np.full(6, 0.2)])
    band = difference_band(STEPS, arm, np.zeros((6, 3)), draws=40_000)
    assert band.critical == pytest.approx(t.ppf(0.95, 5), rel=0.02)
    half = band.critical * wobble.std(ddof=1) / np.sqrt(6)
    assert band.low_T == pytest.approx([0, 0.3 - half, 0.2 - half])
    assert band.high_T == pytest.approx([0, 0.3 + half, 0.2 + half])
    by_chance = difference_band(STEPS, arm[:, ::-1], np.zeros((6, 3)), draws=500)
    assert (by_chance.high_T > by_chance.low_T).all()  # equal in the end is not untrained


def test_the_band_lies_between_one_look_and_bonferroni():
    rng = np.random.default_rng(0)
    arm = rng.normal(size=(8, 10))
    critical = difference_band(np.arange(10.0), arm, np.zeros((8, 10)), draws=10_000).critical
    assert 1.3 * t.ppf(0.95, 7) < critical < t.ppf(1 - 0.05 / 10, 7)
    together = difference_band(np.arange(10.0), np.repeat(arm[:, :1], 10, axis=1), np.zeros((8, 10))).critical
    assert together < critical


def test_only_differences_count():
    rng = np.random.default_rng(1)
    gap, common = rng.normal(size=(5, 3)), 100 * rng.normal(size=(5, 3))
    plain, shifted = difference_band(STEPS, gap, 0 * gap), difference_band(STEPS, gap + common, common)
    assert shifted.low_T == pytest.approx(plain.low_T)
    assert shifted.high_T == pytest.approx(plain.high_T)


def test_within_the_margin_everywhere_or_not():
    wobble = np.array([[0.01], [-0.01], [0.005], [-0.005]]) * np.array([0.0, 1.0, -1.0])
    assert difference_band(STEPS, wobble, 0 * wobble).is_within(0.03)
    assert not difference_band(STEPS, wobble + np.array([0, 0, 0.025]), 0 * wobble).is_within(0.03)
    assert not difference_band(STEPS, wobble + np.array([0.04, 0, 0]), 0 * wobble).is_within(0.03)


def test_without_spread_the_band_is_undefined():
    for arm in (np.ones((1, 3)), np.ones((4, 3))):
        band = difference_band(STEPS, arm, np.zeros_like(arm))
        assert isnan(band.critical)
        assert np.isnan(band.low_T).all() and np.isnan(band.high_T).all()
        assert not band.is_within(100.0)


def test_blocks_of_draws_do_not_change_the_band(monkeypatch: pytest.MonkeyPatch):
    arm = np.random.default_rng(2).normal(size=(5, 3))
    whole = difference_band(STEPS, arm, 0 * arm, draws=1000)
    monkeypatch.setattr("rltk_eval.equivalence.curves._NUMBERS_AT_ONCE", 15 * 64)
    assert difference_band(STEPS, arm, 0 * arm, draws=1000).critical == pytest.approx(whole.critical)


def test_bad_curves_are_refused():
    good = np.ones((2, 3))
    for steps in (np.array([0.0]), np.array([0.0, 0.0, 1.0])):
        with pytest.raises(ValueError, match="at least two and increase"):
            area_under_curve(steps, good)
    with pytest.raises(ValueError, match="3 evaluations each"):
        area_under_curve(STEPS, np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"row 1 \(seed\) at step 40 is nan"):
        area_under_curve(STEPS, np.array([[0, 0, 0], [0, 0, nan]]))
    with pytest.raises(ValueError, match="the same seeds of both"):
        difference_band(STEPS, good, np.ones((3, 3)))
