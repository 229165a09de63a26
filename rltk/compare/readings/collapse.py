"""RL-6: which runs of reinforcement learning end far below their own peak.

Shapes: T steps.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rltk_eval.equivalence.scores import Array
from scipy.stats import binomtest, fisher_exact

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome
from rltk.compare.plan import CONTROL, Planned
from rltk.compare.readings.behaviour import moving
from rltk.errors import UserError
from rltk.recipe.schema import LoRA
from rltk.run.folder import read_metrics

SHARE = 0.5
"""Of the peak: a run that ends lower has collapsed."""
LOW = 8
"""The highest rank that counts as low."""
KINDS = ("low rank", "high rank", "high rank, alpha grows")


class Count(NamedTuple):
    collapsed: int
    runs: int

    def __str__(self) -> str:
        return f"{self.collapsed} of {self.runs}"


def collapses(evidence: Sequence[Evidence]) -> Outcome:
    """Over all rates and seeds: how many runs collapsed at low ranks, and at high ones by the rule for alpha."""
    found = {kind: Count(0, 0) for kind in KINDS}
    arms: dict[str, Count] = {}
    failed = 0
    for one in evidence:
        for run in adapters(one):
            if one.found.outcomes[run.id].status != "finished":
                failed += 1
                continue
            fell = has_collapsed(reward_T(one, run))
            name = run.arm if len(evidence) == 1 else f"{run.arm} in {one.comparison.path.name}"
            arms[name] = plus(arms.get(name, Count(0, 0)), fell)
            found[kind_of(one, run)] = plus(found[kind_of(one, run)], fell)
    low, fixed, growing = (found[kind] for kind in KINDS)
    if not low.runs or not growing.runs:
        raise UserError(
            "RL-6 compares ranks up to 8 with higher ones whose alpha is twice the rank, and one is missing."
        )
    p = {kind: fisher(found[kind], low) for kind in KINDS[1:] if found[kind].runs}
    summary = (
        f"collapsed: rank 8 {low}, higher {fixed}, higher with alpha twice the rank {growing} (p = {p[KINDS[2]]:.2g})"
    )
    summary += f"; {failed} runs diverged and are not counted" if failed else ""
    interval = binomtest(growing.collapsed, growing.runs).proportion_ci(0.95)
    details = {"arms": {arm: list(count) for arm, count in arms.items()}, "p_against_low_rank": p, "failed": failed}
    share = growing.collapsed / growing.runs
    return Outcome("reported", summary, share, (float(interval.low), float(interval.high)), details)


def adapters(one: Evidence) -> Iterator[Planned]:
    """Runs of both phases that train an adapter; the negative control learns next to nothing."""
    for run in one.found.runs:
        if run.arm != CONTROL and isinstance(run.recipe.tune, LoRA):
            yield run


def reward_T(one: Evidence, run: Planned) -> Array:
    path = one.comparison.folder(run)
    rewards = [row["reward"] for row in read_metrics(path) if row.get("reward") is not None]
    if not rewards:
        raise UserError(
            f"{path} logged no reward, and RL-6 looks for its peak; name a comparison of GRPO, RLOO or PPO."
        )
    return np.array(rewards, float)


def has_collapsed(reward_T: Array) -> bool:
    """By means over a few steps, so that one bad batch at the end is no collapse."""
    smooth_T = moving(reward_T[None])[0]
    return bool(smooth_T[-1] < SHARE * smooth_T.max())


def plus(count: Count, fell: bool) -> Count:
    return Count(count.collapsed + fell, count.runs + 1)


def kind_of(one: Evidence, run: Planned) -> str:
    tune, usual = run.recipe.tune, one.comparison.recipe.tune
    assert isinstance(tune, LoRA) and isinstance(usual, LoRA)
    if tune.rank <= LOW:
        return KINDS[0]
    return KINDS[1] if tune.alpha == usual.alpha else KINDS[2]


def fisher(one: Count, other: Count) -> float:
    """Two-sided p of both collapsing alike."""
    table = [[count.collapsed, count.runs - count.collapsed] for count in (one, other)]
    return float(fisher_exact(table).pvalue)  # pyright: ignore[reportAttributeAccessIssue]  # scipy leaves its result untyped
