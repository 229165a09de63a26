"""Findings about which learning rates do well, from the sweep of a comparison.

Shapes: L learning rates, B bootstrap draws.
"""

from collections.abc import Sequence
from math import inf, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from rltk_eval.equivalence.optimum import Optimum
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence
from rltk.compare.optima import fit, number
from rltk.compare.outcome import Outcome, Verdict, verdict_of
from rltk.recipe.schema import LoRA

RATIO = (5.0, 20.0)
"""What "about ten times" is: the interval must lie within."""
DRAWS = 4_000
TAIL = 0.025
"""Beyond either end of an interval."""
GRID = 200
"""Points a decade at which curves are looked at."""


def ratio(evidence: Sequence[Evidence]) -> Outcome:
    """The best learning rate of every LoRA arm over the reference's: the value is that of the highest rank, the verdict
    of all arms."""
    (one,) = evidence
    optima = {arm: one.conclusion["optima"][arm] for arm in one.others}
    intervals = [optimum["ratio_interval"] or (None, None) for optimum in optima.values()]
    summary = ", ".join(f"{arm} {said(optimum)}" for arm, optimum in optima.items())
    last = optima[one.others[-1]]
    low, high = last["ratio_interval"] or (None, None)
    interval = None if low is None or high is None else (low, high)
    return Outcome(within(intervals), f"best rate {summary}", last["ratio_to_reference"], interval, optima)


def said(optimum: dict[str, Any]) -> str:
    if optimum["ratio_to_reference"] is None:
        return f"undefined ({optimum['problem']})"
    low, high = optimum["ratio_interval"] or (None, None)
    bounds = "no interval" if low is None or high is None else f"{low:.2g} to {high:.2g}"
    return f"{optimum['ratio_to_reference']:.3g} times full's ({bounds})"


def within(intervals: Sequence[Sequence[float | None]]) -> Verdict:
    known = [(low, high) for low, high in intervals if low is not None and high is not None]
    is_shown = len(known) == len(intervals) and all(RATIO[0] <= low and high <= RATIO[1] for low, high in known)
    return verdict_of(is_shown=is_shown, is_refuted=any(high < RATIO[0] or low > RATIO[1] for low, high in known))


def rank_of(one: Evidence, arm: str) -> int:
    tune = one.comparison.arms[arm].tune
    assert isinstance(tune, LoRA)
    return tune.rank


def fit_of(one: Evidence, arm: str) -> Optimum | None:
    return fit(one.found.tuning.sweeps[arm], higher_is_better=one.comparison.sign > 0)


def apart(fits: Sequence[Optimum]) -> Array:
    """Draws of log10 rates, a row each: those of one generator go up and down together, shifted ones do not."""
    count = len(fits[0].log10_lr_B)
    return np.array([np.roll(found.log10_lr_B, shift * count // len(fits)) for shift, found in enumerate(fits)])


class Curve(NamedTuple):
    """The mean score over learning rates, more being better, and what is known of its noise."""

    x_L: Array
    """log10 of the rate."""
    mean_L: Array
    se_L: Array
    df: int


def width(evidence: Sequence[Evidence]) -> Outcome:
    """Decades of learning rate that score within the margin of an arm's best, less those of the reference.

    Where an arm does as well at its lowest or highest rate, how far that goes on is not known, and its width is a lower
    bound: nothing then bounds the difference from the arm's side.
    """
    (one,) = evidence
    margin = one.conclusion["margin"]["value"]
    curves = {arm: curve_of(one, arm) for arm in [*one.others, one.reference]}
    wide = {arm: decades(curve, margin) for arm, curve in curves.items()}
    summary = "decades within the margin of the best: " + ", ".join(f"{arm} {found:.2f}" for arm, found in wide.items())
    last = one.others[-1]
    value = wide[last] - wide[one.reference]
    if not all(curve.df for curve in curves.values()):
        summary = f"{summary}; one run a rate says nothing of noise (compare.tuning_seeds = 1)"
        return Outcome("inconclusive", summary, value, None, {"decades": wide})
    rng = np.random.default_rng(0)
    drawn = {arm: widths(curve, margin, rng) for arm, curve in curves.items()}
    gaps = {arm: gap(wide[arm] - wide[one.reference], drawn[arm], drawn[one.reference]) for arm in one.others}
    verdict = verdict_of(
        is_shown=all(low > 0 for low, _ in gaps.values()), is_refuted=any(high < 0 for _, high in gaps.values())
    )
    cut = [arm for arm, draws in drawn.items() if draws.may_go_on]
    if cut:
        summary += f"; the rates tried may end before the basin of {', '.join(cut)} does"
    details = {
        "decades": wide,
        "less_reference": {arm: [number(bound) for bound in bounds] for arm, bounds in gaps.items()},
        "may_go_on": cut,
    }
    return Outcome(verdict, summary, value, gaps[last], details)


class Widths(NamedTuple):
    decades_B: Array
    may_go_on: bool
    """Whether the lowest or the highest rate is within the margin of the best in more than few draws."""


def widths(curve: Curve, margin: float, rng: np.random.Generator) -> Widths:
    """As other seeds might have given them."""
    draws = [noisy(curve, rng) for _ in range(DRAWS)]
    ends = [min(draw.mean_L.max() - draw.mean_L[0], draw.mean_L.max() - draw.mean_L[-1]) for draw in draws]
    may_go_on = bool(np.mean(np.array(ends) <= margin) > TAIL)
    return Widths(np.array([decades(draw, margin) for draw in draws]), may_go_on)


def gap(value: float, arm: Widths, reference: Widths) -> tuple[float, float]:
    """The 95 % interval of a difference of widths; infinite where the end of a basin is not seen.

    Noise lifts the best of several means, and drawn noise lifts it again, so draws are of narrower basins than the
    data are, and those than the truth. Percentiles and their mirror images err to either side (in simulation each may
    cover 88 to 91 %), so the interval holds both.
    """
    apart_B = arm.decades_B - reference.decades_B
    low, high = np.quantile(apart_B, [TAIL, 1 - TAIL])
    low, high = min(low, 2 * value - high), max(high, 2 * value - low)
    return -inf if reference.may_go_on else float(low), inf if arm.may_go_on else float(high)


def curve_of(one: Evidence, arm: str) -> Curve:
    """Of the rates at which no run failed; noise is taken to be alike at all of them."""
    rows = [row for row in one.conclusion["sweep"][arm] if row["score"] is not None]
    by_rate = {
        lr: np.array([row["score"] for row in rows if row["lr"] == lr]) for lr in sorted({r["lr"] for r in rows})
    }
    df = sum(len(scores) - 1 for scores in by_rate.values())
    squares = sum(float(((scores - scores.mean()) ** 2).sum()) for scores in by_rate.values())
    spread = sqrt(squares / df) if df else nan
    return Curve(
        np.log10(list(by_rate)),
        one.comparison.sign * np.array([scores.mean() for scores in by_rate.values()]),
        np.array([spread / sqrt(len(scores)) for scores in by_rate.values()]),
        df,
    )


def noisy(curve: Curve, rng: np.random.Generator) -> Curve:
    """The curve as other seeds might have given it: Student's t, since the spread is known from few runs."""
    noise_L = rng.standard_normal(len(curve.x_L)) * sqrt(curve.df / rng.chisquare(curve.df))
    return curve._replace(mean_L=curve.mean_L + curve.se_L * noise_L)


def decades(curve: Curve, margin: float) -> float:
    """Between the rates that were tried, straight lines; beyond them nothing is known, and nothing is counted."""
    span = curve.x_L[-1] - curve.x_L[0]
    at = np.linspace(curve.x_L[0], curve.x_L[-1], max(2, round(GRID * span)))
    return float(span * np.mean(np.interp(at, curve.x_L, curve.mean_L) >= curve.mean_L.max() - margin))
