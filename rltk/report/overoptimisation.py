"""Is the reward pleased where the truth is not? Held-out proxy and gold reward over the distance from the start.

The distance is that of Gao et al. 2022 (arXiv 2210.10760): the square root of the KL divergence to the starting model,
in nats a completion. It is measured on the completions that a step trains on, hence of the policy one update before the
one that is then evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rltk.report.axis import written
from rltk.report.chart import Chart, Line, Mark
from rltk.report.read import Row, Run

TITLE = "Reward and gold reward, held out, over KL"
X_TITLE = "square root of the KL to the starting model, nats a completion"
PROXY, GOLD = "heldout_reward", "heldout_gold_reward"


class Look(NamedTuple):
    """One evaluation on held-out prompts."""

    step: int
    distance: float
    proxy: float
    gold: float


def proxy_and_gold(run: Run) -> Chart | None:
    """None unless the run logged both, and the KL divergence, at two places; or where the proxy is the gold reward."""
    looks = list(looks_of(run))
    if len(looks) < 2 or all(math.isclose(look.proxy, look.gold, abs_tol=1e-9) for look in looks):
        return None
    proxy, gold = [look.proxy for look in looks], [look.gold for look in looks]
    lines = [
        Line(f"{name}, {written(min(values))} to {written(max(values))}", placed(looks, values), colour)
        for colour, (name, values) in enumerate((("reward that is trained on", proxy), ("gold reward", gold)))
    ]
    best = max(looks, key=lambda look: look.gold)
    most = Mark(f"most gold, after step {best.step}", best.distance, 1.0, colour=1)
    about = (
        f"Each from its lowest mean (0 %) to its highest. Dot: most gold, after step {best.step}. The root of KL as in "
        "Gao et al. 2022 (arXiv 2210.10760)."
    )
    return Chart("proxy-and-gold", TITLE, lines, [most], unit="share", x_title=X_TITLE, about=about, has_legend=True)


def looks_of(run: Run) -> Iterator[Look]:
    """In the order of training, from the start, which is at distance 0; what was not measured is left out."""
    rows = run.metrics
    found: dict[int, tuple[Row, float | None]] = {0: (rewards(run, "before"), 0.0)}
    found |= {row["step"]: (row, distance(row)) for row in rows}
    if rows and rows[-1].get(PROXY) is None:
        found[rows[-1]["step"]] = rewards(run, "after"), distance(rows[-1])
    for step, (row, away) in found.items():
        proxy, gold = row.get(PROXY), row.get(GOLD)
        if away is not None and proxy is not None and gold is not None:
            yield Look(step, away, proxy, gold)


def rewards(run: Run, when: str) -> Row:
    """Of the first task, by the names that they have in a step's metrics."""
    score = next(iter(run.scores.get(when, {}).values()), {})
    return {PROXY: score.get("reward"), GOLD: score.get("gold_reward", {}).get("reward")}


def distance(row: Row) -> float | None:
    """Of the policy that sampled the step's completions; None where no KL divergence was measured."""
    return None if row.get("kl") is None else math.sqrt(row["kl"] * row["completion_tokens"])


def placed(looks: Sequence[Look], values: Sequence[float]) -> list[tuple[float, float | None]]:
    low, high = min(values), max(values)
    return [(look.distance, (value - low) / ((high - low) or 1.0)) for look, value in zip(looks, values, strict=True)]
