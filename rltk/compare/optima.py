"""Where each arm's best learning rate lies, by a parabola through its sweep, and how that stands to the reference's."""

from __future__ import annotations

from math import isfinite
from typing import Any

from rltk_eval.equivalence.optimum import Optimum, SweepPoint, best_lr, lr_ratio

from rltk.compare.plan import Comparison
from rltk.compare.tuning import Sweep, Tuning

RATES_OF_A_PARABOLA = 3


def optima(comparison: Comparison, tuning: Tuning) -> dict[str, dict[str, Any]]:
    """For every arm its chosen rate and, from 3 rates on, the parabola's optimum and its ratio to the reference's."""
    higher_is_better = comparison.sign > 0
    fits = {arm: fit(sweep, higher_is_better=higher_is_better) for arm, sweep in tuning.sweeps.items()}
    reference = fits[comparison.reference]
    return {arm: describe(tuning.sweeps[arm], fits[arm], reference) for arm in comparison.arms}


def fit(sweep: Sweep, *, higher_is_better: bool = True) -> Optimum | None:
    """Through the shortest runs, which are there for all rates; None with fewer than 3 rates that did not fail."""
    steps = min(tried.steps for tried in sweep.tried)
    failed = {tried.run.lr for tried in sweep.tried if tried.score.failure is not None}
    points = [
        SweepPoint(tried.run.lr, tried.run.seed, tried.score.value)
        for tried in sweep.tried
        if tried.steps == steps and tried.run.lr not in failed and tried.score.value is not None
    ]
    if len({point.lr for point in points}) < RATES_OF_A_PARABOLA:
        return None
    return best_lr(points, higher_is_better=higher_is_better)


def describe(sweep: Sweep, fitted: Optimum | None, reference: Optimum | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "lr": sweep.lr,
        "is_interior": sweep.is_interior,
        "rates": len({tried.run.lr for tried in sweep.tried}),
        "optimum": None,
        "interval": None,
        "problem": "a parabola needs 3 learning rates" if fitted is None else fitted.problem,
        "ratio_to_reference": None,
        "ratio_interval": None,
    }
    if fitted is None:
        return found
    found |= {"optimum": number(fitted.lr), "interval": [number(bound) for bound in fitted.interval]}
    if reference is not None:
        ratio = lr_ratio(fitted, reference)
        found |= {"ratio_to_reference": number(ratio.value), "ratio_interval": [number(b) for b in ratio.interval]}
    return found


def number(value: float) -> float | None:
    """To 10 digits, so that no platform differs; null where it is undefined."""
    return float(f"{value:.10g}") if isfinite(value) else None
