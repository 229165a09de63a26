"""BS-1: how LoRA's gap to full fine-tuning goes with the batch, from one comparison a batch.

Shapes: S seeds, K batches.
"""

from collections.abc import Sequence

import numpy as np
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict
from rltk.compare.readings.lines import slopes_S
from rltk.errors import UserError
from rltk.recipe.schema import Offline

SHARE = 0.25
"""By how much of the larger the slopes of two ranks may differ and be one."""


def slopes(evidence: Sequence[Evidence]) -> Outcome:
    """Of every LoRA arm the slope of its gap over log10 of the batch, with its 95 % interval over seeds."""
    if len(evidence) < 2:
        raise UserError("one batch has no slope; name a comparison for each batch with --from.")
    ordered = sorted(evidence, key=batch_of)
    first = ordered[0]
    x_K = np.log10([batch_of(one) for one in ordered])
    found = {
        arm: slope_of(x_K, np.stack([-one.better_S(arm, one.reference) for one in ordered])) for arm in first.others
    }
    verdict = judge(found)
    full = {batch_of(one): one.conclusion["arms"][one.reference]["score"] for one in ordered}
    summary = "gap a tenfold batch: " + ", ".join(
        f"{arm} {mean:+.4f} [{low:+.4f}, {high:+.4f}]" for arm, (mean, low, high) in found.items()
    )
    last = first.others[-1]
    mean, low, high = found[last]
    return Outcome(verdict, summary, mean, (low, high), {"slopes": found, "reference_by_batch": full})


def batch_of(one: Evidence) -> int:
    algo = one.comparison.arms[one.reference].algo
    if not isinstance(algo, Offline):
        raise UserError(f"{one.comparison.path} is of algo.type {algo.type}, which has no supervised batch.")
    return algo.batch


def slope_of(x_K: Array, gap_KS: Array) -> tuple[float, float, float]:
    """Least squares, seed by seed."""
    return mean_interval(slopes_S(x_K, gap_KS.T), 0.95)


def judge(found: dict[str, tuple[float, float, float]]) -> Verdict:
    means = [mean for mean, _, _ in found.values()]
    is_one = max(means) - min(means) <= SHARE * max(map(abs, means))
    if all(low > 0 for _, low, _ in found.values()):
        return "reproduced" if is_one else "not reproduced"
    return "not reproduced" if any(high < 0 for _, _, high in found.values()) else "inconclusive"
