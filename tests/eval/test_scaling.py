"""Scaling laws: planted parameters are recovered, printed coefficients cross where they were computed to."""

from collections import Counter
from math import isnan, nan

import numpy as np
import pytest
from rltk_eval.scaling import critical_data, crossing, fit_law, held_out_error, parameter_interval
from rltk_eval.scaling_law import Form, Law, Problem, Residual, ScalingRun

SIZES = (1e9, 2e9, 4e9, 8e9)
DATA = (8e3, 2e4, 5e4, 1e5, 3e5, 1e6)
MULTIPLICATIVE = Law(scale=2000.0, size_exponent=0.36, data_exponent=0.1, floor=0.6)
ADDITIVE = Law(scale=500.0, size_exponent=0.4, data_exponent=0.2, floor=0.6, data_scale=6.0)


def runs_of(law: Law, *, noise: float = 0.0, seed: int = 0, sizes: tuple[float, ...] = SIZES) -> list[ScalingRun]:
    rng = np.random.default_rng(seed)
    return [ScalingRun(x, d, law.predict(x, d) + noise * rng.normal()) for x in sizes for d in DATA]


def test_predictions_by_hand():
    assert Law(8.0, 0.5, 1.0, 0.1).predict(16, 2) == pytest.approx(8 / (4 * 2) + 0.1)
    assert Law(8.0, 0.5, 1.0, 0.1, 3.0).predict(16, 2) == pytest.approx(8 / 4 + 3 / 2 + 0.1)


@pytest.mark.parametrize("residual", list(Residual))
@pytest.mark.parametrize(("form", "law"), [(Form.MULTIPLICATIVE, MULTIPLICATIVE), (Form.ADDITIVE, ADDITIVE)])
def test_without_noise_the_planted_law_is_found(form: Form, law: Law, residual: Residual):
    fit = fit_law(runs_of(law), form, residual=residual)
    assert fit.law[:4] == pytest.approx(law[:4], rel=1e-4)
    assert fit.law.data_scale == (None if law.data_scale is None else pytest.approx(law.data_scale, rel=1e-4))
    assert (fit.form, fit.residual, fit.df) == (form, residual, 24 - 4 - (form is Form.ADDITIVE))


def test_a_wild_run_hardly_moves_the_fit():
    runs = runs_of(MULTIPLICATIVE, noise=1e-4)
    runs[7] = runs[7]._replace(loss=3.0)
    assert fit_law(runs).law.data_exponent == pytest.approx(0.1, rel=0.02)


def test_with_one_size_its_exponent_is_zero():
    fit = fit_law(runs_of(MULTIPLICATIVE, sizes=(1e9,)))
    assert not fit.has_size
    assert fit.law.size_exponent == 0
    assert fit.law.data_exponent == pytest.approx(0.1, rel=1e-3)
    assert fit.law.scale == pytest.approx(2000 / 1e9**0.36, rel=1e-3)


@pytest.mark.parametrize("residual", list(Residual))
@pytest.mark.parametrize("form", list(Form))
def test_the_gradient_is_the_slope(form: Form, residual: Residual):
    problem = Problem.of(runs_of(MULTIPLICATIVE, noise=0.1), form, residual, has_size=True)
    point = np.array([0.1, 0.3, 0.2, -0.4, 0.05])[: 4 + (form is Form.ADDITIVE)]
    _, gradient = problem.objective(point)
    for k, step in enumerate(1e-6 * np.eye(len(point))):
        slope = (problem.objective(point + step)[0] - problem.objective(point - step)[0]) / 2e-6
        assert gradient[k] == pytest.approx(slope, rel=1e-5)


def test_the_planted_form_extrapolates_better():
    for law, right, wrong in (
        (MULTIPLICATIVE, Form.MULTIPLICATIVE, Form.ADDITIVE),
        (ADDITIVE, Form.ADDITIVE, Form.MULTIPLICATIVE),
    ):
        runs = runs_of(law, noise=5e-4)
        good, bad = held_out_error(runs, right), held_out_error(runs, wrong)
        assert (good.fitted, good.held_out) == (15, 9)  # 3 sizes x 5 data sizes of 4 x 6
        assert good.error < 0.003 < bad.error


@pytest.mark.parametrize(
    ("size", "english_chinese", "summaries"),
    [(1e9, 2.1e5, 88), (2e9, 6.65e5, 26), (4e9, 6.1e6, 8.0), (8e9, nan, 2.5)],
)
def test_printed_coefficients_cross_where_they_do(size: float, english_chinese: float, summaries: float):
    """FMT and LoRA of table 4 in Zhang et al. 2024, rounded as printed. English-German never crosses: E .75 > .62."""
    zh = critical_data(Law(6.6e2, 0.31, 0.025, 0.73), Law(3.3e3, 0.34, 0.14, 1.0), size)
    assert zh == pytest.approx(english_chinese, rel=0.02, nan_ok=True)
    mlsum = critical_data(Law(26, 0.11, 0.03, 0.2), Law(3.3e2, 0.24, 0.087, 0.98), size)
    assert mlsum == pytest.approx(summaries, rel=0.02)
    assert isnan(critical_data(Law(2.1e3, 0.36, 0.081, 0.62), Law(1.2e5, 0.52, 0.15, 0.75), size))


def test_with_equal_floors_the_crossing_has_a_closed_form():
    """Equation 3: D = (A1 / A2)^(1 / (b1 - b2)) X^((a2 - a1) / (b1 - b2))."""
    full, lora = Law(40.0, 0.2, 0.15, 0.5), Law(9.0, 0.18, 0.05, 0.5)
    expected = (40 / 9) ** (1 / 0.1) * 1e6 ** ((0.18 - 0.2) / 0.1)
    assert critical_data(lora, full, 1e6) == pytest.approx(expected, rel=1e-6)
    assert isnan(critical_data(full, lora, 1e6))  # full becomes better, never worse


def test_a_crossing_has_an_interval_and_says_when_it_is_extrapolated():
    lora, full = Law(9.0, 0.18, 0.05, 0.5), Law(40.0, 0.2, 0.15, 0.5)
    planted = critical_data(lora, full, 2e9)
    assert 2e4 < planted < 5e4
    lora_fit, full_fit = (fit_law(runs_of(law, noise=1e-3, seed=i), draws=60) for i, law in enumerate((lora, full)))
    found = crossing(lora_fit, full_fit, 2e9)
    assert found.interval.low < planted < found.interval.high
    assert found.interval.low < found.data < found.interval.high < 1.5 * found.interval.low
    assert not found.is_extrapolated and found.problem is None
    small = fit_law([run for run in runs_of(full, noise=1e-3, seed=1) if run.data > 3e4], draws=60)
    assert crossing(lora_fit, small, 2e9).is_extrapolated


def test_no_crossing_is_nan_and_says_so():
    fit = fit_law(runs_of(MULTIPLICATIVE))
    worse = fit_law(runs_of(MULTIPLICATIVE._replace(floor=0.7)))
    found = crossing(fit, worse, 1e9)
    assert isnan(found.data) and found.problem == "the fitted laws do not cross at size 1e+09"
    crossed = crossing(fit_law(runs_of(Law(9, 0.18, 0.05, 0.5))), fit_law(runs_of(Law(40, 0.2, 0.15, 0.5))), 1e9)
    assert crossed.data > 0 and all(map(isnan, crossed.interval)) and crossed.problem is not None
    assert all(map(isnan, parameter_interval(fit, "floor")))


def test_bad_runs_are_refused():
    runs = runs_of(MULTIPLICATIVE)
    for bad in (ScalingRun(1e9, 1e4, nan), ScalingRun(1e9, 0, 1.0), ScalingRun(1e9, 1e4, -1.0)):
        with pytest.raises(ValueError, match="must be above zero"):
            fit_law([*runs, bad])
    with pytest.raises(ValueError, match="one size"):
        fit_law(runs_of(MULTIPLICATIVE, sizes=(1e9,)), Form.ADDITIVE)
    with pytest.raises(ValueError, match="at least 3 data sizes; got 2"):
        fit_law([run for run in runs if run.data < 3e4])
    with pytest.raises(ValueError, match="at least 6 runs are needed; got 5"):
        fit_law([*runs[:4], runs[8]])
    with pytest.raises(ValueError, match="only 2 sizes"):
        held_out_error(runs_of(MULTIPLICATIVE, sizes=SIZES[:2]), Form.MULTIPLICATIVE)
    with pytest.raises(ValueError, match="0 and 2 draws"):
        crossing(fit_law(runs), fit_law(runs, draws=2), 1e9)


@pytest.mark.slow
@pytest.mark.parametrize("residual", list(Residual))
def test_intervals_cover_the_planted_parameters(residual: Residual):
    """95 % intervals in 60 simulations: 57 expected, and 50 or fewer once in 1,000."""
    hits: Counter[str] = Counter()
    names = ("scale", "size_exponent", "data_exponent", "floor")
    for seed in range(60):
        fit = fit_law(runs_of(MULTIPLICATIVE, noise=0.003, seed=seed), residual=residual, draws=100, seed=seed)
        for name in names:
            low, high = parameter_interval(fit, name)
            hits[name] += low < getattr(MULTIPLICATIVE, name) < high
    assert min(hits[name] for name in names) > 50
