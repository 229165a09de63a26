"""LR-5 and RM-4: how LoRA stands to full fine-tuning in models of several sizes, from one comparison a model.

Shapes: S seeds, K models.
"""

from collections.abc import Callable, Sequence

import numpy as np
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict, ends, verdict_of
from rltk.compare.readings.lines import slopes_S
from rltk.compare.readings.moved import Interval, combined
from rltk.compare.readings.rates import fit_of, said
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.shape import Shape

THEORY = 1.0
"""Exponent of the width in hidden size / (2 alpha), the ratio of the best rates that LR-5 refutes."""
FEWEST = 3
"""Models of different size that a trend takes."""


def width_exponent(evidence: Sequence[Evidence]) -> Outcome:
    """LR-5: least-squares slope of the logarithm of the ratio of the best rates over that of the width; bootstrap."""
    ordered, width_K = by_size(evidence, lambda shape: shape.hidden, "width")
    arm = shared_arm(ordered)
    optima = {width: one.conclusion["optima"][arm] for width, one in zip(width_K, ordered, strict=True)}
    fits = [fit_of(one, arm) for one in ordered] + [fit_of(one, one.reference) for one in ordered]
    weight_K = weights_of_slope(np.log10(width_K))
    value, interval = combined(fits, [*weight_K, *-weight_K])
    each = "; ".join(f"{width} wide: {said(optimum)}" for width, optimum in optima.items())
    slope = "no slope" if value is None else f"slope {value:+.2f}"
    bounds = "" if interval is None else f" [{interval[0]:+.2f}, {interval[1]:+.2f}]"
    summary = f"{slope}{bounds} of log ratio over log width; {each}"
    return Outcome(constant_verdict(interval), summary, value, interval, {"by_width": optima})


def weights_of_slope(x_K: Array) -> Array:
    """What each value counts in the least-squares slope."""
    centred_K = x_K - x_K.mean()
    return centred_K / (centred_K @ centred_K)


def constant_verdict(interval: Interval | None) -> Verdict:
    """The ratio is shown not to go with the width where an exponent of 0 is left and that of the theory is not."""
    if interval is None:
        return "inconclusive"
    low, high = interval
    return verdict_of(is_shown=low <= 0 <= high < THEORY, is_refuted=low > 0 or high < 0)


def gap_over_size(evidence: Sequence[Evidence]) -> Outcome:
    """RM-4: by how much LoRA falls short, over the logarithm of the parameters; one slope a seed, 95 % t interval."""
    ordered, parameters_K = by_size(evidence, lambda shape: shape.parameters, "number of parameters")
    arm = shared_arm(ordered)
    short = [-one.better_S(arm, one.reference) for one in ordered]
    if len({len(short_S) for short_S in short}) > 1:
        raise UserError("the comparisons have different numbers of seeds; give all of them as many.")
    value, low, high = mean_interval(slopes_S(np.log10(parameters_K), np.stack(short, axis=1)), 0.95)
    gaps = {size: mean_interval(short_S, 0.95) for size, short_S in zip(parameters_K, short, strict=True)}
    each = ", ".join(f"{mean:+.3f} [{a:+.3f}, {b:+.3f}] at {size:,}" for size, (mean, a, b) in gaps.items())
    summary = f"shortfall of {arm} {each} parameters; {value:+.3f} [{low:+.3f}, {high:+.3f}] a factor of ten"
    verdict = verdict_of(is_shown=high < 0, is_refuted=low > 0)
    details = {"shortfalls": {str(size): list(three) for size, three in gaps.items()}}
    return Outcome(verdict, summary, value, ends((low, high)), details)


def by_size(evidence: Sequence[Evidence], size: Callable[[Shape], int], what: str) -> tuple[list[Evidence], list[int]]:
    """From the smallest model to the largest, and their sizes."""
    ordered = sorted(((size(shape_of(one)), one) for one in evidence), key=lambda pair: pair[0])
    found = [number for number, _ in ordered]
    if len(set(found)) < max(FEWEST, len(found)):
        raise UserError(
            f"a trend takes {FEWEST} models or more, each of another {what}; these have {', '.join(map(str, found))}."
        )
    return [one for _, one in ordered], found


def shape_of(one: Evidence) -> Shape:
    return find_shape(one.comparison.recipe.model)


def shared_arm(ordered: Sequence[Evidence]) -> str:
    """The last LoRA arm of the first comparison, which all must have."""
    arm = ordered[0].others[-1]
    for one in ordered[1:]:
        if arm not in one.others:
            raise UserError(f"{one.comparison.path} has no arm {arm}, which {ordered[0].comparison.path} has.")
    return arm
