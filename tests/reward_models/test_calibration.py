"""Calibration against numbers worked out by hand and pairs simulated with a known temperature."""

import math
from statistics import fmean

import pytest
from rltk_reward_models.calibration import (
    calibration,
    calibration_report,
    fit_temperature,
    is_calibration_half,
    kernel_error,
    reliability_curve,
)

from tests.reward_models.scored import pair, simulated

LN3 = math.log(3)


def test_two_confidences_by_hand():
    """Leads of +-ln 3 are 3/4 sure, leads of 0 half; right twice of four, and ties are as right as they are sure."""
    pairs = [pair(lead, str(i)) for i, lead in enumerate([LN3, LN3, -LN3, -LN3, 0.0, 0.0, 0.0, 0.0])]
    found = calibration(pairs, bins=2)
    assert [(b.confidence, b.accuracy, b.pairs) for b in found.curve] == [(0.5, 0.5, 4), (pytest.approx(0.75), 0.5, 4)]
    assert found.expected_error == pytest.approx(0.125)
    assert found.brier == pytest.approx((2 / 16 + 2 * 9 / 16 + 4 / 4) / 8)
    assert found.log_loss == pytest.approx((2 * math.log(4 / 3) + 2 * math.log(4) + 4 * math.log(2)) / 8)


def test_the_temperature_divides_the_lead():
    warm = calibration([pair(2 * LN3, "a"), pair(-2 * LN3, "b")], temperature=2.0, bins=1)
    assert warm.curve[0].confidence == pytest.approx(0.75)
    assert warm.log_loss == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    with pytest.raises(ValueError, match="positive"):
        calibration([pair(1.0)], temperature=0.0)


def test_bins_hold_equally_many_pairs():
    curve = reliability_curve([pair(i / 10, str(i)) for i in range(23)], bins=5)
    assert [part.pairs for part in curve] == [4, 5, 4, 5, 5]
    assert [part.confidence for part in curve] == sorted(part.confidence for part in curve)
    assert len(reliability_curve([pair(1.0)] * 3, bins=10)) == 3
    with pytest.raises(ValueError, match="at least 1"):
        reliability_curve([pair(1.0)], bins=0)


def test_the_curve_of_a_calibrated_model_lies_on_the_diagonal():
    curve = reliability_curve(simulated(5000), bins=10)
    assert sum(part.interval.low <= part.confidence <= part.interval.high for part in curve) >= 8
    over = reliability_curve(simulated(5000, temperature=3.0), bins=10)
    assert sum(part.confidence > part.interval.high for part in over) >= 7


def test_the_kernel_error_by_hand():
    """Surprises 1/4, -3/4 and 1/2 - 1/2 = 0; only the first two meet, both at 3/4: 2 * (-3/16) / 6."""
    pairs = [pair(LN3, "a"), pair(-LN3, "b"), pair(0.0, "c")]
    assert kernel_error(pairs) == pytest.approx(-3 / 16 / 3)
    # Pairs of one prompt do not meet: with c as prompt a, two ordered meetings of a and b and two of b and c are left.
    assert kernel_error([pair(LN3, "a"), pair(-LN3, "b"), pair(0.0, "a")]) == pytest.approx(2 * -3 / 16 / 4)


def test_the_kernel_falls_with_the_distance_of_confidences():
    """Surprises 1/4 at 0.75 and -4/5 at 0.8: half a width of 0.1 apart."""
    pairs = [pair(LN3, "a"), pair(-math.log(4), "b")]
    assert kernel_error(pairs) == pytest.approx(-0.2 * math.exp(-0.5))
    assert kernel_error(pairs, width=0.025) == pytest.approx(-0.2 * math.exp(-2))


def test_the_kernel_error_is_unbiased_and_sees_what_is_wrong():
    calibrated = [kernel_error(simulated(400, seed=seed, a_prompt=4)) for seed in range(60)]
    spread = (fmean(value**2 for value in calibrated) / 60) ** 0.5
    assert abs(fmean(calibrated)) < 2.5 * spread
    assert min(calibrated) < 0 < max(calibrated)
    assert kernel_error(simulated(400, temperature=4.0)) > 5 * max(calibrated)


def test_blocks_do_not_change_the_kernel_error(monkeypatch: pytest.MonkeyPatch):
    pairs = simulated(100, a_prompt=3)
    whole = kernel_error(pairs)
    monkeypatch.setattr("rltk_reward_models.calibration.BLOCK", 7)
    assert kernel_error(pairs) == pytest.approx(whole, rel=1e-12)


def test_the_temperature_is_found():
    assert fit_temperature([pair(1.0)] * 3 + [pair(-1.0)]) == pytest.approx(1 / LN3)
    assert fit_temperature(simulated(20_000, temperature=2.5)) == pytest.approx(2.5, rel=0.05)


def test_leads_that_point_nowhere_or_never_wrong_have_no_temperature():
    assert math.isnan(fit_temperature([pair(-1.0)] * 2 + [pair(1.0)]))
    assert math.isnan(fit_temperature([pair(1.0), pair(-1.0)]))
    assert math.isnan(fit_temperature([pair(1.0), pair(2.0)]))
    assert math.isnan(fit_temperature([]))


def test_the_report_fits_on_one_half_and_judges_on_the_other():
    pairs = simulated(4000, temperature=3.0, a_prompt=2)
    report = calibration_report(pairs)
    fitted = [p for p in pairs if is_calibration_half(p.prompt)]
    rest = [p for p in pairs if not is_calibration_half(p.prompt)]
    assert report.fitted_pairs == len(fitted) and not {p.prompt for p in fitted} & {p.prompt for p in rest}
    assert 1800 < len(fitted) < 2200
    assert report.temperature == fit_temperature(fitted) == pytest.approx(3.0, rel=0.25)
    assert report.before == calibration(rest)
    assert report.after == calibration(rest, report.temperature)
    assert report.after is not None
    assert report.after.log_loss < report.before.log_loss
    assert report.after.expected_error < report.before.expected_error / 3


def test_a_prompt_stays_in_its_half():
    """Or reports of two versions could not be compared. SHA-256 of "calibration half: 0" begins with an odd byte."""
    assert [is_calibration_half(str(i)) for i in range(4)] == [False, True, True, True]


def test_without_a_temperature_there_is_no_after():
    report = calibration_report([pair(1.0, str(i)) for i in range(50)])
    assert math.isnan(report.temperature) and report.after is None
    assert report.before.log_loss == pytest.approx(math.log1p(math.exp(-1)))


def test_nothing_measured_is_nan():
    found = calibration([])
    assert all(map(math.isnan, found[:4])) and found.curve == ()
