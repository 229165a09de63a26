"""Both laws of each arm, how well they extrapolate, and the data size at which each arm falls behind the reference."""

from collections.abc import Iterator, Sequence
from math import nan
from typing import Any, NamedTuple

from rltk_eval.metrics import Interval
from rltk_eval.scaling import Crossing, Fit, HeldOut, crossing, fit_law, held_out_error, parameter_interval
from rltk_eval.scaling_law import Form, Residual, ScalingRun

from rltk.errors import UserError

PARAMETERS = {
    Form.MULTIPLICATIVE: ("scale", "size_exponent", "data_exponent", "floor"),
    Form.ADDITIVE: ("scale", "size_exponent", "data_scale", "data_exponent", "floor"),
}


class Fitted(NamedTuple):
    """A form fitted to an arm; or none, and why."""

    fit: Fit | None
    held_out: HeldOut | None
    problem: str | None


class Between(NamedTuple):
    arm: str
    size: float
    crossing: Crossing


class Analysis(NamedTuple):
    arms: dict[str, dict[Form, Fitted]]
    reference: str | None
    crossings: list[Between]


def analyse(
    arms: dict[str, list[ScalingRun]], *, reference: str | None, residual: Residual, draws: int, seed: int
) -> Analysis:
    """Crossings are those of the multiplicative laws, at each size that both arms were run at."""
    if reference is not None and reference not in arms:
        raise UserError(f"--reference {reference}: there is no such arm; there are {', '.join(sorted(arms))}.")
    fitted = {
        arm: {form: fit_one(runs, form, residual=residual, draws=draws, seed=seed) for form in Form}
        for arm, runs in sorted(arms.items())
    }
    if all(one[Form.MULTIPLICATIVE].fit is None for one in fitted.values()):
        arm, one = next(iter(fitted.items()))
        raise UserError(f"no law can be fitted: arm {arm}: {one[Form.MULTIPLICATIVE].problem}.")
    found = list(crossings(fitted, arms, reference)) if reference is not None else []
    return Analysis(fitted, reference, found)


def fit_one(runs: Sequence[ScalingRun], form: Form, *, residual: Residual, draws: int, seed: int) -> Fitted:
    try:
        fit = fit_law(runs, form, residual=residual, draws=draws, seed=seed)
    except ValueError as error:
        return Fitted(None, None, str(error))
    try:
        return Fitted(fit, held_out_error(runs, form, residual=residual), None)
    except ValueError as error:
        return Fitted(fit, None, f"no held-out error: {error}")


def crossings(
    fitted: dict[str, dict[Form, Fitted]], arms: dict[str, list[ScalingRun]], reference: str
) -> Iterator[Between]:
    against = fitted[reference][Form.MULTIPLICATIVE].fit
    for arm, one in fitted.items():
        fit = one[Form.MULTIPLICATIVE].fit
        if arm == reference or fit is None or against is None:
            continue
        for size in sorted({run.size for run in arms[arm]} & {run.size for run in arms[reference]}):
            yield Between(arm, size, crossing(fit, against, size))


def to_json(analysis: Analysis) -> dict[str, Any]:
    """Undefined numbers stay nan; the command writes them as null."""
    return {
        "reference": analysis.reference,
        "arms": {
            arm: {form.value: fitted_json(form, one) for form, one in forms.items()}
            for arm, forms in analysis.arms.items()
        },
        "crossings": [
            {
                "arm": found.arm,
                "size": found.size,
                "data": found.crossing.data,
                "ci95": list(found.crossing.interval),
                "is_extrapolated": found.crossing.is_extrapolated,
                "problem": found.crossing.problem,
            }
            for found in analysis.crossings
        ],
    }


def fitted_json(form: Form, one: Fitted) -> dict[str, Any]:
    if one.fit is None:
        return {"problem": one.problem}
    return {
        "runs": len(one.fit.runs),
        "residual": one.fit.residual.value,
        "law": {name: getattr(one.fit.law, name) for name in PARAMETERS[form]},
        "ci95": {name: list(interval(one.fit, name)) for name in PARAMETERS[form]},
        "held_out": None if one.held_out is None else one.held_out._asdict(),
        "problem": one.problem,
    }


def interval(fit: Fit, name: str) -> Interval:
    """nan for an exponent of size that was not fitted, as all runs have one size."""
    if name == "size_exponent" and not fit.has_size:
        return Interval(nan, nan)
    return parameter_interval(fit, name)
