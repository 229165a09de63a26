"""BS-1: how LoRA's gap to full fine-tuning goes with the batch, from one comparison a batch.

Shapes: S seeds, K batches.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations

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
    slope_AS = {
        arm: slopes_S(x_K, np.stack([-one.better_S(arm, one.reference) for one in ordered], 1)) for arm in first.others
    }
    found = {arm: mean_interval(slope_S, 0.95) for arm, slope_S in slope_AS.items()}
    full = {batch_of(one): one.conclusion["arms"][one.reference]["score"] for one in ordered}
    summary = "gap a tenfold batch: " + ", ".join(
        f"{arm} {mean:+.4f} [{low:+.4f}, {high:+.4f}]" for arm, (mean, low, high) in found.items()
    )
    last = first.others[-1]
    mean, low, high = found[last]
    return Outcome(judge(slope_AS), summary, mean, (low, high), {"slopes": found, "reference_by_batch": full})


def batch_of(one: Evidence) -> int:
    algo = one.comparison.arms[one.reference].algo
    if not isinstance(algo, Offline):
        raise UserError(f"{one.comparison.path} is of algo.type {algo.type}, which has no supervised batch.")
    return algo.batch


def judge(slope_AS: Mapping[str, Array]) -> Verdict:
    """Of every arm's slopes, one a seed. That seeds are paired makes a quarter of the larger slope a linear contrast.

    The slopes of two arms lie within it where each is at least three quarters of the other.
    """
    slopes = [mean_interval(slope_S, 0.95) for slope_S in slope_AS.values()]
    if any(high < 0 for _, _, high in slopes):
        return "not reproduced"
    if not all(low > 0 for _, low, _ in slopes):
        return "inconclusive"
    left_over = [one_S - (1 - SHARE) * other_S for one_S, other_S in permutations(slope_AS.values(), 2)]
    # Of two arms only one can be the flatter, so that many contrasts can be refuted by chance.
    strict = 1 - 0.1 / max(1, len(left_over) // 2)
    if any(high < 0 for _, _, high in (mean_interval(each_S, strict) for each_S in left_over)):
        return "not reproduced"
    is_one = all(low > 0 for _, low, _ in (mean_interval(each_S, 0.9) for each_S in left_over))
    return "reproduced" if is_one else "inconclusive"
