"""LR-4, LR-6 and LR-7: how the best learning rate moves with a run's length and with alpha, and what a formula costs.

Shapes: B draws, R ranks.
"""

from collections.abc import Sequence
from math import isfinite, log10

import numpy as np
from rltk_eval.equivalence.optimum import Optimum

from rltk.compare.evidence import Evidence
from rltk.compare.optima import number
from rltk.compare.outcome import Outcome, Verdict
from rltk.compare.readings.lines import slopes_S
from rltk.compare.readings.rates import DRAWS, Curve, apart, curve_of, fit_of, noisy, rank_of, said
from rltk.errors import UserError
from rltk.plan.config import read_config
from rltk.plan.learning_rate import LORA_OVER_FULL, SFT_POWERS, SMALLEST_FITTED, sft_lora
from rltk.recipe.schema import LoRA

FLAT, STEEP = 0.25, -0.5
"""Slopes of log rate over log rank: within the first of zero is flat, below the second is a fall."""
NEGLIGIBLE = 0.005
"""Share of the loss that a learning rate may cost."""
MULTIPLE = 2
"""Of the rank, which is alpha in the arms where it grows with the rank."""
Interval = tuple[float, float]


def shorter_runs(evidence: Sequence[Evidence]) -> Outcome:
    """LR-4: LoRA's best rate over full fine-tuning's in the shortest runs, over the same in the longest."""
    if len(evidence) < 2:
        raise UserError("one length of run has no trend; name a comparison for each length with --from.")
    ordered = sorted(evidence, key=steps_of)
    short, long = ordered[0], ordered[-1]
    arms = [arm for arm in short.others if arm in long.others]
    if not arms:
        raise UserError(f"{short.comparison.path} and {long.comparison.path} share no arm beside the reference.")
    arm = arms[-1]
    optima = {steps_of(one): one.conclusion["optima"][arm] for one in ordered}
    summary = "; ".join(f"{steps} steps: {said(optimum)}" for steps, optimum in optima.items())
    fits = [fit_of(one, name) for one in (short, long) for name in (arm, one.reference)]
    value, interval = combined(fits, [1.0, -1.0, -1.0, 1.0])
    if value is not None:
        summary = f"{10**value:.2f} times; {summary}"
    bounds = None if interval is None else (10 ** interval[0], 10 ** interval[1])
    return Outcome(trend_verdict(interval), summary, None if value is None else 10**value, bounds, {"by_steps": optima})


def trend_verdict(interval: Interval | None) -> Verdict:
    """Of the logarithm."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "inconclusive"
    return "reproduced" if interval[0] > 0 else "not reproduced"


def steps_of(one: Evidence) -> int:
    return one.comparison.arms[one.reference].optim.steps


def combined(fits: Sequence[Optimum | None], weights: Sequence[float]) -> tuple[float | None, Interval | None]:
    """A weighted sum of log10 optima with its 95 % bootstrap interval; None where one has no top, or no interval."""
    known = [found for found in fits if found is not None and isfinite(found.lr)]
    if len(known) < len(fits):
        return None, None
    value = sum(weight * log10(found.lr) for weight, found in zip(weights, known, strict=True))
    drawn_B = np.array(weights) @ apart(known)
    is_lost_B = np.isnan(drawn_B)
    low = np.quantile(np.where(is_lost_B, -np.inf, drawn_B), 0.025, method="inverted_cdf")
    high = np.quantile(np.where(is_lost_B, np.inf, drawn_B), 0.975, method="inverted_cdf")
    return float(value), (float(low), float(high)) if isfinite(low) and isfinite(high) else None


def alpha_rules(evidence: Sequence[Evidence]) -> Outcome:
    """LR-7: slopes of log best rate over log rank, with one alpha at all ranks and with alpha twice the rank."""
    (one,) = evidence
    fixed, growing = alpha_arms(one)
    found = {name: rate_slope(one, arms) for name, arms in (("fixed", fixed), ("growing", growing))}
    rates = {
        arm: None if (fit := fit_of(one, arm)) is None else number(fit.lr) for arm in dict.fromkeys(fixed + growing)
    }
    shown = {name: "undefined" if value is None else f"{value:+.2f}{bounds(interval)}"
             for name, (value, interval) in found.items()}  # fmt: skip
    summary = (
        f"slope of log rate over log rank: {shown['fixed']} with one alpha, {shown['growing']} with twice the rank"
    )
    value, interval = found["growing"]
    verdict = alpha_verdict(found["fixed"][1], interval)
    return Outcome(verdict, summary, value, interval, {"rates": rates, "slopes": found})


def bounds(interval: Interval | None) -> str:
    return "" if interval is None else f" [{interval[0]:+.2f}, {interval[1]:+.2f}]"


def alpha_arms(one: Evidence) -> tuple[list[str], list[str]]:
    """Those of the recipe's own alpha, and those of twice the rank; an arm may be both."""
    tunes = {arm: recipe.tune for arm, recipe in one.comparison.arms.items() if isinstance(recipe.tune, LoRA)}
    usual = one.comparison.recipe.tune
    alpha = usual.alpha if isinstance(usual, LoRA) else None
    fixed = [arm for arm, tune in tunes.items() if tune.alpha == alpha]
    growing = [arm for arm, tune in tunes.items() if tune.alpha == MULTIPLE * tune.rank]
    if min(len(fixed), len(growing)) < 2:
        what = (
            f"two ranks of alpha {alpha:g}" if alpha and len(fixed) < 2 else "two ranks whose alpha is twice the rank"
        )
        raise UserError(f"{one.comparison.path} has not {what}, which LR-7 compares.")
    return fixed, growing


def rate_slope(one: Evidence, arms: Sequence[str]) -> tuple[float | None, Interval | None]:
    """The least-squares slope is a weighted sum of the log rates."""
    rank_R = np.log10([rank_of(one, arm) for arm in arms])
    return combined([fit_of(one, arm) for arm in arms], slopes_S(rank_R, np.eye(len(arms))).tolist())


def alpha_verdict(fixed: Interval | None, growing: Interval | None) -> Verdict:
    is_flat = fixed is not None and fixed[0] > -FLAT and fixed[1] < FLAT
    if is_flat and growing is not None and growing[1] < STEEP:
        return "reproduced"
    is_moving = fixed is not None and (fixed[0] > FLAT or fixed[1] < -FLAT)
    is_still = growing is not None and growing[0] > STEEP
    return "not reproduced" if is_moving or is_still else "inconclusive"


def formula_regret(evidence: Sequence[Evidence]) -> Outcome:
    """LR-6: the loss at the formula's rate over the best of the sweep, less 1, for each arm; that of LoRA is judged."""
    (one,) = evidence
    lora = formula_rate(one)
    rates = {arm: lora if isinstance(recipe.tune, LoRA) else lora / LORA_OVER_FULL
             for arm, recipe in one.comparison.arms.items()}  # fmt: skip
    found = {arm: regret(curve_of(one, arm), rate) for arm, rate in rates.items()}
    shown = {arm: "outside the rates tried" if value is None else f"{value:.2%}" for arm, (value, _) in found.items()}
    summary = "loss at the formula's rate above the best: " + ", ".join(
        f"{arm} {shown[arm]} at {rates[arm]:.3g}" for arm in found
    )
    value, interval = found[one.others[-1]]
    return Outcome(regret_verdict(interval), summary, value, interval, {"rates": rates, "regrets": found})


def formula_rate(one: Evidence) -> float:
    """LoRA's, for the families and sizes that the formula was fitted to."""
    model = one.comparison.recipe.model
    config = read_config(model)
    config = config.get("text_config", config)
    kind, hidden = str(config.get("model_type")), int(config.get("hidden_size", 0))
    if not kind.startswith(tuple(SFT_POWERS)) or hidden < SMALLEST_FITTED:
        raise UserError(
            f"{one.comparison.path} is of {model.path} ({kind}, {hidden} wide), and LR-6's formula is for Qwen and "
            f"Llama from {SMALLEST_FITTED:,} on."
        )
    return sft_lora(hidden, kind)


def regret(curve: Curve, rate: float) -> tuple[float | None, Interval | None]:
    """Between rates that were tried straight lines, which is an upper bound of a bowl; None beyond them."""
    if not curve.x_L[0] <= log10(rate) <= curve.x_L[-1]:
        return None, None
    value = cost(curve, rate)
    if not curve.df:
        return value, None
    rng = np.random.default_rng(0)
    low, high = np.quantile([cost(noisy(curve, rng), rate) for _ in range(DRAWS)], [0.025, 0.975])
    return value, (float(low), float(high))


def cost(curve: Curve, rate: float) -> float:
    """`mean_L` is of losses with the sign turned."""
    best = curve.mean_L.max()
    return float((best - np.interp(log10(rate), curve.x_L, curve.mean_L)) / abs(best))


def regret_verdict(interval: Interval | None) -> Verdict:
    if interval is None:
        return "inconclusive"
    return (
        "reproduced" if interval[1] < NEGLIGIBLE else "not reproduced" if interval[0] > NEGLIGIBLE else "inconclusive"
    )
