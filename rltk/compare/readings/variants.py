"""RL-8: variants of LoRA against plain LoRA, at LoRA's best learning rate and each at its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome
from rltk.errors import UserError
from rltk.recipe.schema import LoRA

POINTS = 0.02
"""Accuracy within which variants count as one."""


def at_both_rates(evidence: Sequence[Evidence]) -> Outcome:
    """The value is that of the variant that is farthest from plain LoRA, each at its own rate."""
    (one,) = evidence
    plain, others = plain_and_variants(one)
    shared = {arm: at_rate_of(one, arm, plain) for arm in others}
    own = {arm: mean_interval(one.better_S(arm, plain), 0.9) for arm in others}
    within = [arm for arm, (_, low, high) in own.items() if low > -POINTS and high < POINTS]
    summary = f"less {plain}: at its rate " + ", ".join(f"{arm} {told(row)}" for arm, row in shared.items())
    summary += "; at their own " + ", ".join(
        f"{arm} {100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]" for arm, (mean, low, high) in own.items()
    )
    summary += f" points; within 2: {', '.join(within) or 'none shown'}"
    mean, low, high = max(own.values(), key=lambda row: abs(row[0]))
    details = {"at_the_rate_of_plain": shared, "at_own_rates": own, "within": within, "plain": plain}
    return Outcome("reported", summary, mean, (low, high), details)


def plain_and_variants(one: Evidence) -> tuple[str, list[str]]:
    tunes = {arm: one.comparison.arms[arm].tune for arm in one.others}
    plain = [arm for arm, tune in tunes.items() if isinstance(tune, LoRA) and is_plain(tune)]
    others = [arm for arm, tune in tunes.items() if isinstance(tune, LoRA) and not is_plain(tune)]
    if not plain or not others:
        raise UserError(f"{one.comparison.path} has no plain LoRA or no variant of it, and RL-8 compares them.")
    return plain[0], others


def is_plain(tune: LoRA) -> bool:
    return not (tune.use_dora or tune.use_rslora) and tune.init == LoRA().init


def at_rate_of(one: Evidence, arm: str, plain: str) -> dict[str, Any]:
    """From the sweep, paired by tuning seed; null where a run failed there or the rate was not tried."""
    rate = one.found.tuning.sweeps[plain].lr
    assert rate is not None
    ours, theirs = scores_at(one, arm, rate), scores_at(one, plain, rate)
    if ours is None or theirs is None:
        return {"lr": rate, "difference": None, "interval": None}
    seeds = sorted(ours.keys() & theirs.keys())
    mean, low, high = mean_interval(np.array([ours[seed] - theirs[seed] for seed in seeds]), 0.9)
    return {"lr": rate, "difference": mean, "interval": [low, high] if np.isfinite(low) else None}


def scores_at(one: Evidence, arm: str, rate: float) -> dict[int, float] | None:
    """Of the longest runs, by seed."""
    tried = [tried for tried in one.found.tuning.sweeps[arm].tried if tried.run.lr == rate]
    longest = [one for one in tried if one.steps == max(each.steps for each in tried)]
    scores = {tried.run.seed: tried.score.value for tried in longest}
    known = {seed: score for seed, score in scores.items() if score is not None}
    return known if known and len(known) == len(scores) else None


def told(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return "not to be had"
    low, high = row["interval"] or (None, None)
    spread = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * row['difference']:+.1f}{spread}"
