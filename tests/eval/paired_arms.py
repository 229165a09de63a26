"""Arms with given or random scores, for the tests of equivalence."""

import numpy as np
from rltk_eval.equivalence.assay import Assay
from rltk_eval.equivalence.scores import Pairs, arm_scores, pair


def pairs_of(
    difference_SN: "np.typing.ArrayLike",
    *,
    arm: str = "lora",
    reference: str = "full",
    clusters: tuple[str, ...] | None = None,
) -> Pairs:
    """Pairs with these differences, seeds and items numbered from 0; one number a seed where given as a list."""
    table = np.array(difference_SN, dtype=np.float64)
    if table.ndim == 1:
        scores = {s: float(value) for s, value in enumerate(table)}
        nothing = dict.fromkeys(scores, 0.0)
        return pair(arm_scores(arm, scores), arm_scores(reference, nothing))
    names = [f"item{i:05d}" for i in range(table.shape[1])]
    rows = {s: dict(zip(names, map(float, row), strict=True)) for s, row in enumerate(table)}
    zeros = {s: dict.fromkeys(names, 0.0) for s in rows}
    by_item = None if clusters is None else dict(zip(names, clusters, strict=True))
    return pair(arm_scores(arm, rows), arm_scores(reference, zeros), clusters=by_item)


def sensitive_assay(*, minimum_gain: float = 0.1) -> Assay:
    """Full gains 0.3 over the start and the control loses 0.2 to it, both give or take 0.01."""
    wobble = np.array([0.01, -0.01, 0.005, -0.005])
    return Assay(
        gain=pairs_of(0.3 + wobble, arm="full", reference="start"),
        minimum_gain=minimum_gain,
        control=pairs_of(-0.2 + wobble, arm="control"),
    )
