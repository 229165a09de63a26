"""What the arms cost: seconds, tokens and memory, from their confirmation runs."""

from __future__ import annotations

from statistics import median
from typing import Any

from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.survey import Survey
from rltk.run.folder import Metrics, read_metrics


def costs(comparison: Comparison, found: Survey) -> dict[str, Any]:
    """For every arm medians over its confirmation runs; null where runs did not log it. Evaluations are not counted."""
    return {
        arm: arm_costs(comparison, found, [run for run in found.confirmation if run.arm == arm])
        for arm in [*comparison.arms, CONTROL]
    }


def arm_costs(comparison: Comparison, found: Survey, runs: list[Planned]) -> dict[str, Any]:
    metrics = [read_metrics(comparison.folder(run)) for run in runs]
    samples = all("sampled_tokens" in row for rows in metrics for row in rows)
    peaks = [found.outcomes[run.id].manifest.get("peak_memory_bytes") for run in runs]
    return {
        "runs": len(runs),
        "seconds": median(map(seconds, metrics)),
        "seconds_a_step": median(seconds(rows) / len(rows) for rows in metrics),
        "tokens": median(sum(row["sampled_tokens"] for row in rows) for rows in metrics) if samples else None,
        "peak_memory_bytes": None if None in peaks else median(peak for peak in peaks if peak is not None),
    }


def seconds(rows: list[Metrics]) -> float:
    """Sampling and training, without evaluations."""
    return sum(row["seconds"] if "seconds" in row else row["rollout_seconds"] + row["train_seconds"] for row in rows)
