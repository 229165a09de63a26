"""LR-2 and RM-2: what does not depend on the rank, the best learning rate and the accuracy.

Shapes: B bootstrap draws, H higher ranks.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from math import inf, isfinite, log10

import numpy as np
from rltk_eval.equivalence.optimum import Optimum, lr_ratio

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.optima import number
from rltk.compare.outcome import Outcome, Verdict, ends, verdict_of
from rltk.compare.readings.rates import TAIL, apart, fit_of, rank_of
from rltk.errors import UserError

FOLD = 2.0
"""What "the same rate" is."""
BASE_RANK = 4
CONFIDENCE = 0.95


def ranks_share_a_rate(evidence: Sequence[Evidence]) -> Outcome:
    """How far the best rates of higher ranks are from rank 4's, as a factor; and where rank 1's lies."""
    (one,) = evidence
    fits = {rank_of(one, arm): fit_of(one, arm) for arm in one.others}
    rates = {rank: None if found is None else number(found.lr) for rank, found in sorted(fits.items())}
    summary = ", ".join(f"rank {rank} {'undefined' if lr is None else f'{lr:.3g}'}" for rank, lr in rates.items())
    known = {rank: found for rank, found in fits.items() if found is not None and isfinite(found.lr)}
    base, lower = known.get(BASE_RANK), known.get(1)
    higher = [known[rank] for rank in sorted(known) if rank > BASE_RANK]
    if base is None or lower is None or not higher or len(known) < len(fits):
        return Outcome("inconclusive", f"best rates {summary}", None, None, {"rates": rates})
    fold, bounds = largest_fold(higher, base)
    below, (low, high) = lr_ratio(lower, base)
    summary = f"up to {fold:.2f} times apart from rank 4 on (best rates {summary}); rank 1's over rank 4's {below:.2f} "
    summary += f"[{low:.2f}, {high:.2f}]" if isfinite(low) else "(no interval)"
    verdict = shared_verdict(bounds[1], lower, base, higher)
    details = {"rates": rates, "rank_1_over_rank_4": [below, low, high]}
    return Outcome(verdict, summary, fold, ends(bounds), details)


def shared_verdict(upper: float, lower: Optimum, base: Optimum, higher: Sequence[Optimum]) -> Verdict:
    """Refuted by a rank whose interval lies wholly on the wrong side: at a level that any of them may try at."""
    strict = partial(lr_ratio, reference=base, confidence=1 - (1 - CONFIDENCE) / (1 + len(higher)))
    away = [strict(found).interval for found in higher]
    is_lower = lr_ratio(lower, base, confidence=CONFIDENCE).interval.high <= 1
    is_refuted = strict(lower).interval.low > 1 or any(one.low > FOLD or one.high < 1 / FOLD for one in away)
    return verdict_of(is_shown=upper < FOLD and is_lower, is_refuted=is_refuted)


def largest_fold(higher: Sequence[Optimum], base: Optimum) -> tuple[float, tuple[float, float]]:
    """The largest factor between a best rate and the base's, with its 95 % bootstrap interval.

    Noise makes the largest of several larger, so its lower bound shows nothing; see `shared_verdict`.
    """
    value = max(abs(log10(found.lr / base.lr)) for found in higher)
    base_B, *higher_HB = apart([base, *higher])
    distance_HB = np.abs(np.array(higher_HB) - base_B)
    # Without a best rate in a draw, nothing is known of how far apart they are.
    is_lost_HB = np.isnan(distance_HB)
    high = np.quantile(np.max(np.where(is_lost_HB, inf, distance_HB), axis=0), 1 - TAIL, method="inverted_cdf")
    low = np.quantile(np.max(np.where(is_lost_HB, 0.0, distance_HB), axis=0), TAIL, method="inverted_cdf")
    return 10**value, (float(10**low), float(10**high))


def ranks_alike(evidence: Sequence[Evidence]) -> Outcome:
    """Whether every two ranks lie within the margin of each other, paired by seed; the value is of the two farthest."""
    (one,) = evidence
    arms, margin = sorted(one.others, key=lambda arm: rank_of(one, arm)), one.conclusion["margin"]["value"]
    if len(arms) < 2:
        raise UserError(f"{one.comparison.path} has no two ranks, which RM-2 compares.")
    alpha = one.conclusion["verdicts"][arms[0]]["alpha"]
    pairs = {f"{high} less {low}": one.better_S(high, low) for low, high in combinations(arms, 2)}
    found = {pair: mean_interval(better_S, 1 - 2 * alpha) for pair, better_S in pairs.items()}
    strict = {pair: mean_interval(better_S, 1 - 2 * alpha / len(pairs)) for pair, better_S in pairs.items()}
    within = [pair for pair, (_, low, high) in found.items() if -margin < low and high < margin]
    worst = max(found, key=lambda pair: abs(found[pair][0]))
    mean, low, high = found[worst]
    summary = (
        f"{len(within)} of {len(found)} pairs of ranks within {100 * margin:.1f} points; farthest: {worst} "
        f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    )
    is_refuted = any(low > margin or high < -margin for _, low, high in strict.values())
    verdict = verdict_of(is_shown=len(within) == len(found), is_refuted=is_refuted)
    return Outcome(verdict, summary, mean, (low, high), {"pairs": found, "margin": margin})
