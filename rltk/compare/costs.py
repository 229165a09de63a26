"""What the arms cost: seconds, tokens, operations and memory, from their confirmation runs."""

from __future__ import annotations

from statistics import median
from typing import Any

from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.survey import Survey
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.shape import Shape
from rltk.plan.time import flops_a_token
from rltk.recipe.schema import Recipe
from rltk.run.folder import Metrics, read_metrics


def costs(comparison: Comparison, found: Survey) -> dict[str, Any]:
    """For every arm medians over its confirmation runs; null where runs did not log it. Evaluations are not counted."""
    shape = known_shape(comparison.recipe)
    return {
        arm: arm_costs(comparison, found, [run for run in found.confirmation if run.arm == arm], shape)
        for arm in [*comparison.arms, CONTROL]
    }


def arm_costs(comparison: Comparison, found: Survey, runs: list[Planned], shape: Shape | None) -> dict[str, Any]:
    metrics = [read_metrics(comparison.folder(run)) for run in runs]
    tokens = median(sum(row.get("sampled_tokens", row.get("tokens", 0)) for row in rows) for rows in metrics)
    tune, has_checkpointing = runs[0].recipe.tune, runs[0].recipe.model.gradient_checkpointing
    per_token = None if shape is None else flops_a_token(shape, tune, checkpointing=has_checkpointing)
    peaks = [found.outcomes[run.id].manifest.get("peak_memory_bytes") for run in runs]
    return {
        "runs": len(runs),
        "seconds": median(map(seconds, metrics)),
        "seconds_a_step": median(seconds(rows) / len(rows) for rows in metrics),
        "tokens": tokens or None,
        "training_flops": None if per_token is None or not tokens else per_token * tokens,
        "peak_memory_bytes": None if None in peaks else median(peak for peak in peaks if peak is not None),
    }


def known_shape(recipe: Recipe) -> Shape | None:
    """Of the model, which all arms share; None where its config cannot be had any more."""
    try:
        return find_shape(recipe.model)
    except UserError:
        return None


def seconds(rows: list[Metrics]) -> float:
    """Sampling and training, without evaluations."""
    return sum(row["seconds"] if "seconds" in row else row["rollout_seconds"] + row["train_seconds"] for row in rows)
