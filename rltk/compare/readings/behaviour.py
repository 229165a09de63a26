"""RL-7: whether arms that earn the same reward behave alike: length, entropy, distance from the start.

Shapes: S seeds, T steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, verdict_of
from rltk.errors import UserError

METRICS = {"completion_tokens": "length", "entropy": "entropy", "kl": "KL"}
TOLERANCE = 0.1
"""Largest difference of logarithms, about a tenth of the value."""
WINDOW = 5
"""Steps of a moving mean."""
REACHED = 0.95
"""Arms are looked at where their reward reaches so much of the lower of their highest rewards."""


def alike(evidence: Sequence[Evidence]) -> Outcome:
    """Log ratios to the reference at equal reward, paired by seed, with 90 % intervals.

    The finding is of length, entropy and KL alike: where one was not logged it can be refuted, and not be reproduced.
    """
    (one,) = evidence
    found: dict[str, Any] = {}
    for metric, name in METRICS.items():
        try:
            found |= {f"{name} of {arm}": log_ratios(one, arm, metric) for arm in one.others}
        except UserError:
            continue
    absent = [name for name in METRICS.values() if f"{name} of {one.others[0]}" not in found]
    if not found:
        raise UserError(f"the runs of {one.comparison.path} logged no length, entropy or KL beside their reward.")
    rows = {what: mean_interval(ratio_S, 0.9) for what, ratio_S in found.items()}
    outside = [what for what, (_, low, high) in rows.items() if low > TOLERANCE or high < -TOLERANCE]
    within = [what for what, (_, low, high) in rows.items() if low > -TOLERANCE and high < TOLERANCE]
    verdict = verdict_of(is_shown=not absent and len(within) == len(rows), is_refuted=bool(outside))
    worst = max(rows, key=lambda what: abs(rows[what][0]))
    mean, low, high = rows[worst]
    summary = (
        f"{len(within)} of {len(rows)} ratios within a tenth at equal reward; farthest: {worst} {np.exp(mean):.2f}"
    )
    summary += f"; {' and '.join(absent)} not logged, so that nothing is known of a part of the claim" if absent else ""
    return Outcome(verdict, summary, mean, (low, high), {"log_ratios": rows, "outside": outside})


def log_ratios(one: Evidence, arm: str, metric: str) -> Array:
    """One a seed."""
    ours, theirs = (moving(one.curve(name, metric)[1]) for name in (arm, one.reference))
    reward, base = (moving(one.curve(name, "reward")[1]) for name in (arm, one.reference))
    ratios = []
    for seed in range(len(ours)):
        level = REACHED * min(reward[seed].max(), base[seed].max())
        here, there = np.argmax(reward[seed] >= level), np.argmax(base[seed] >= level)
        ratios.append(np.log(ours[seed, here] / theirs[seed, there]))
    return np.array(ratios)


def moving(values_ST: Array) -> Array:
    """Means over windows of steps; the first and last steps have none of their own."""
    width = min(WINDOW, values_ST.shape[1])
    return np.lib.stride_tricks.sliding_window_view(values_ST, width, axis=1).mean(-1)
