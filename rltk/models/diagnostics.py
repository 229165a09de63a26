"""What training has done to the weights: a few numbers a step, and all of them at the end.

Shapes: O outputs, I inputs, K singular values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from rltk_reward_models.quantized import numbers
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.models.capacity import BITS_A_PARAMETER, capacity_used
from rltk.models.spectra import effective_rank, intruders, matrix_spectrum, norm, realised, stable_rank
from rltk.models.updates import Update, adapter_updates, matrices_of, parameters, spectra

LARGEST_SIDE = 1024
"""A matrix whose shorter side is longer is too dear to decompose; what would need it is null."""
VALUES_SHOWN = 64
"""Singular values listed of a matrix, the largest."""
NEARLY = 0.9
"""Share of its rank that the effective rank of an adapter reaches whose rank is used evenly."""
JUDGED_FROM = 4
"""Rank below which an even spectrum says nothing: two singular values are nearly always of comparable size."""
PATIENCE = 10
"""Steps in a row in which most adapters are even: Adam's first steps have the size of noise in every direction."""


def step_metrics(model: nn.Module, bits: float, history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For `metrics.jsonl`, after a step that offered `bits`; `history` has the rows of the steps before.

    `saturated`, a reason in words, is in the first row only of which it is true.
    """
    offered = bits + bits_offered(history)
    metrics: dict[str, Any] = {"bits_offered": offered} | (
        adapter_metrics(model, offered) if isinstance(model, PeftModel) else full_metrics(model, offered)
    )
    if not isinstance(model, PeftModel) or any("saturated" in row for row in history):
        return metrics
    reason = saturation([*history[1 - PATIENCE :], metrics])
    return metrics if reason is None else metrics | {"saturated": reason}


def bits_offered(history: Sequence[Mapping[str, Any]]) -> float:
    """By all steps so far; those of an earlier version, which did not count them, offered 0."""
    return history[-1].get("bits_offered", 0.0) if history else 0.0


def adapter_metrics(model: nn.Module, bits: float) -> dict[str, float]:
    """The norm of the whole update, means over its matrices, and how much of the adapter's capacity is used."""
    updates = adapter_updates(model)
    values = spectra(updates)
    return {
        "update_norm": math.hypot(*map(norm, values.values())),
        "stable_rank": mean([stable_rank(values_K) for values_K in values.values()]),
        "evenly_filled": evenly_filled(values, updates),
        "capacity_used": capacity_used(bits, parameters(updates)),
    }


def full_metrics(model: nn.Module, bits: float) -> dict[str, float]:
    """What there is to say without a copy of the starting weights; the rest is nan until the end."""
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    undefined = dict.fromkeys(("update_norm", "stable_rank", "evenly_filled"), math.nan)
    return {**undefined, "capacity_used": capacity_used(bits, trained)}


def evenly_filled(values: Mapping[str, Tensor], updates: Mapping[str, Update]) -> float:
    """Share of the adapters whose effective rank is nearly their rank; nan where all ranks are too small to tell."""
    ranks = {name: update.rank for name, update in updates.items() if update.rank >= JUDGED_FROM}
    return mean([float(effective_rank(values[name]) >= NEARLY * rank) for name, rank in ranks.items()])


def saturation(recent: Sequence[Mapping[str, Any]]) -> str | None:
    """Why an adapter with these metrics of its last steps is saturated; None if it is not."""
    used = recent[-1]["capacity_used"]
    if used > 1:
        return f"training has offered {used:.2g} times the bits it can hold, at {BITS_A_PARAMETER:g} a parameter"
    filled = [row.get("evenly_filled") for row in recent]
    if len(filled) == PATIENCE and all(share is not None and share > 0.5 for share in filled):
        return f"{filled[-1]:.0%} of its matrices have used all of their rank evenly for {PATIENCE} steps"
    return None


def describe_update(model: nn.Module, load_base: Callable[[], PreTrainedModel], bits: float) -> dict[str, Any]:
    """What training added to the weights; full fine-tuning compares them with the base, read once more."""
    if isinstance(model, PeftModel):
        return describe_adapter(model, bits)
    assert isinstance(model, PreTrainedModel)
    return describe_full(model, load_base(), bits)


def describe_adapter(model: nn.Module, bits: float) -> dict[str, Any]:
    """For `adapter.json`: every number of every adapted matrix."""
    updates = adapter_updates(model)
    values = spectra(updates)
    matrices = {
        name: describe_matrix(numbers(update.base_OI), update.whole(), values[name]) | factors(update)
        for name, update in updates.items()
    }
    return described("lora", matrices, bits, parameters(updates))


def describe_full(model: PreTrainedModel, base: PreTrainedModel, bits: float) -> dict[str, Any]:
    """The same of W - W0 for the matrices that LoRA would have adapted, so that both arms can be drawn side by side."""
    before = dict(matrices_of(base))
    matrices = {
        name: describe_matrix(base_OI, weight_OI - base_OI, None)
        for name, weight_OI in matrices_of(model)
        for base_OI in [before[name].to(weight_OI.device)]
    }
    return described("full", matrices, bits, sum(weight.numel() for weight in model.parameters()))


def describe_matrix(base_OI: Tensor, update_OI: Tensor, values_K: Tensor | None) -> dict[str, Any]:
    """`values_K` where they are known already; what would take the decomposition of a large matrix is None."""
    is_small = min(base_OI.shape) <= LARGEST_SIDE
    if values_K is None and is_small:
        values_K = matrix_spectrum(update_OI)
    size, kept = update_OI.double().norm().item(), realised(base_OI, update_OI)
    return {
        "shape": list(base_OI.shape),
        "norm": size,
        "relative_norm": size / base if (base := base_OI.double().norm().item()) else math.nan,
        "stable_rank": None if values_K is None else stable_rank(values_K),
        "effective_rank": None if values_K is None else effective_rank(values_K),
        "singular_values": None if values_K is None else values_K[:VALUES_SHOWN].tolist(),
        "intruders": intruders(base_OI, update_OI.to(base_OI.device)) if is_small else None,
        "unchanged": (update_OI == 0).double().mean().item(),
        "bf16": kept._asdict(),
    }


def factors(update: Update) -> dict[str, Any]:
    """`norm_b` and `norm_a` are spectral norms."""
    return {
        "rank": update.rank,
        "scale": update.scale,
        "norm_b": torch.linalg.matrix_norm(update.up_OR.float(), ord=2).item(),
        "norm_a": torch.linalg.matrix_norm(update.down_RI.float(), ord=2).item(),
    }


def described(tune: str, matrices: dict[str, dict[str, Any]], bits: float, count: int) -> dict[str, Any]:
    return {
        "tune": tune,
        "parameters": count,
        "bits_offered": bits,
        "capacity_bits": BITS_A_PARAMETER * count,
        "capacity_used": capacity_used(bits, count),
        "update_norm": math.hypot(*(matrix["norm"] for matrix in matrices.values())),
        "stable_rank": mean(column(matrices, "stable_rank")),
        "effective_rank": mean(column(matrices, "effective_rank")),
        "intruders": sum(column(matrices, "intruders")),
        "undecomposed": sum(matrix["singular_values"] is None for matrix in matrices.values()),
        "matrices": matrices,
    }


def column(matrices: Mapping[str, Mapping[str, Any]], key: str) -> list[Any]:
    return [matrix[key] for matrix in matrices.values() if matrix[key] is not None]


def mean(values: Sequence[float]) -> float:
    """Of those that are defined: a matrix that no gradient has reached has no rank. nan if none is."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
