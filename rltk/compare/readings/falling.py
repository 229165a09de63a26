"""CAP-3 and CAP-4: how the held-out loss goes down with the logarithm of the step.

Shapes: S seeds, T steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rltk_eval.equivalence.scores import Array
from rltk_eval.scaling import fit_law
from rltk_eval.scaling_law import ScalingRun

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict
from rltk.compare.readings.courses import leaves_at
from rltk.compare.readings.lines import slopes_S, straightness_S
from rltk.compare.readings.rates import rank_of
from rltk.errors import UserError

STRAIGHT = 0.97
"""R2 from which on a curve counts as a line."""
BEGINS = 0.01
"""Share of the steps that is looked over."""
SEEN = 0.75
"""Share of the steps that curves are fitted to where the rest is foretold."""
FEWEST = 6
"""Evaluations that a curve must have to be judged."""
CURVE = "heldout_loss"


def no_floor(evidence: Sequence[Evidence]) -> Outcome:
    """CAP-3: the slopes, in nats a tenfold of steps, of those arms that left full fine-tuning's curve."""
    (one,) = evidence
    margin = one.conclusion["margin"]["value"]
    step_T, full_ST = long_curve(one, one.reference)
    curves = {arm: long_curve(one, arm)[1] for arm in one.others}
    left = {arm: late_S(step_T, curve_ST) for arm, curve_ST in curves.items()
            if np.isfinite(leaves_at(step_T, (curve_ST - full_ST).mean(0), margin))}  # fmt: skip
    full_S = late_S(step_T, full_ST)
    if not left:
        summary = f"no arm is beyond its capacity: none ends more than {margin:.4f} above full's loss"
        return Outcome("inconclusive", summary, None, None, {"reference_slope": mean_interval(full_S, 0.95)})
    slopes = {arm: mean_interval(slope_S, 0.95) for arm, slope_S in left.items()}
    less_steep = {arm: mean_interval(slope_S - full_S, 0.95) for arm, slope_S in left.items()}
    summary = "nats a tenfold of steps, second half: " + ", ".join(
        f"{arm} {mean:+.4f} [{low:+.4f}, {high:+.4f}]" for arm, (mean, low, high) in slopes.items()
    )
    summary += f"; full {full_S.mean():+.4f}"
    mean, low, high = slopes[min(slopes, key=lambda arm: rank_of(one, arm))]
    details = {"slopes": slopes, "less_reference": less_steep}
    return Outcome(floor_verdict(slopes, less_steep), summary, mean, (low, high), details)


def late_S(step_T: Array, curve_ST: Array) -> Array:
    """Slopes over the second half of the steps."""
    is_late_T = step_T >= step_T[-1] / 2
    return slopes_S(np.log10(step_T[is_late_T]), curve_ST[:, is_late_T])


def floor_verdict(
    slopes: dict[str, tuple[float, float, float]], less_steep: dict[str, tuple[float, float, float]]
) -> Verdict:
    """`less_steep` is an arm's slope less full's: above 0 where the arm's loss falls more slowly."""
    if any(low > 0 for _, low, _ in slopes.values()) or any(high < 0 for _, _, high in less_steep.values()):
        return "not reproduced"
    is_shown = all(high < 0 for _, _, high in slopes.values()) and all(low > 0 for _, low, _ in less_steep.values())
    return "reproduced" if is_shown else "inconclusive"


def straight(evidence: Sequence[Evidence]) -> Outcome:
    """CAP-4: R2 of a line over log step, for full fine-tuning and the highest rank; beside it, a power law."""
    (one,) = evidence
    arms = [one.reference, max(one.others, key=lambda arm: rank_of(one, arm))]
    curves = {arm: after_the_start(*long_curve(one, arm)) for arm in arms}
    found = {
        arm: mean_interval(straightness_S(np.log10(step_T), curve), 0.95) for arm, (step_T, curve) in curves.items()
    }
    errors = {arm: foretold(step_T, curve_ST.mean(0)) for arm, (step_T, curve_ST) in curves.items()}
    summary = "R2 over log step: " + ", ".join(f"{arm} {mean:.3f} [{low:.3f}, {min(1.0, high):.3f}]"
                                               for arm, (mean, low, high) in found.items())  # fmt: skip
    summary += "; error on the last quarter, line and power law: " + ", ".join(
        f"{arm} {error['line']:.4f} and {error['power_law']:.4f}" for arm, error in errors.items()
    )
    mean, low, high = min(found.values())
    interval = (low, min(1.0, high)) if np.isfinite(low) else None
    return Outcome(straight_verdict(found), summary, mean, interval, {"r2": found, "error_on_later_steps": errors})


def straight_verdict(found: dict[str, tuple[float, float, float]]) -> Verdict:
    if any(high < STRAIGHT for _, _, high in found.values()):
        return "not reproduced"
    return "reproduced" if all(low >= STRAIGHT for _, low, _ in found.values()) else "inconclusive"


def long_curve(one: Evidence, arm: str) -> tuple[Array, Array]:
    step_T, curve_ST = one.curve(arm, CURVE)
    if len(step_T) < FEWEST:
        raise UserError(
            f"the runs of {arm} in {one.comparison.path} logged {CURVE} at {len(step_T)} steps, and {FEWEST} are "
            "needed; make the comparison with a smaller eval.every."
        )
    return step_T, curve_ST


def after_the_start(step_T: Array, curve_ST: Array) -> tuple[Array, Array]:
    is_after_T = step_T >= BEGINS * step_T[-1]
    return step_T[is_after_T], curve_ST[:, is_after_T]


def foretold(step_T: Array, loss_T: Array) -> dict[str, Any]:
    """Mean absolute errors on the last quarter of the steps, of curves fitted to those before."""
    is_seen_T = step_T <= SEEN * step_T[-1]
    seen_T, later_T = step_T[is_seen_T], step_T[~is_seen_T]
    slope, height = np.polyfit(np.log10(seen_T), loss_T[is_seen_T], 1)
    law = fit_law([ScalingRun(1.0, step, loss) for step, loss in zip(seen_T, loss_T[is_seen_T], strict=True)]).law
    by_law_T = np.array([law.predict(1.0, step) for step in later_T])
    return {
        "line": float(np.abs(height + slope * np.log10(later_T) - loss_T[~is_seen_T]).mean()),
        "power_law": float(np.abs(by_law_T - loss_T[~is_seen_T]).mean()),
    }
