"""Experts of a mixture in the precision of autocast, which passes transformers' grouped product by.

Without this, experts that train (float32) would compute in float32 and frozen ones that `shrink_frozen` holds in
bfloat16 in bfloat16: full fine-tuning and LoRA would train in different arithmetic.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

NAME = "rltk_autocast"


def follow_autocast(model: PreTrainedModel) -> None:
    """The model's experts, if it has any, compute as its linear layers do from now on."""
    if model.get_experts_implementation()[""] == "grouped_mm":
        model.set_experts_implementation(NAME)


def experts_forward(experts: nn.Module, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    kind = hidden_states.device.type
    if not torch.is_autocast_enabled(kind):
        return grouped_mm_experts_forward(experts, hidden_states, top_k_index, top_k_weights)
    dtype = torch.get_autocast_dtype(kind)
    rounded: Any = Rounded(experts, dtype)
    return grouped_mm_experts_forward(rounded, hidden_states.to(dtype), top_k_index, top_k_weights)


class Rounded:
    """The experts, with weights that read as `dtype`; gradients go through to those that train."""

    def __init__(self, experts: nn.Module, dtype: torch.dtype) -> None:
        self.experts, self.dtype = experts, dtype

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.experts, name)
        return value.to(self.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


ALL_EXPERTS_FUNCTIONS.register(NAME, experts_forward)
