"""A model in another mode for a while: attending through a function of ours, or without dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel


@contextmanager
def attending_through(model: nn.Module, name: str) -> Iterator[str]:
    """The model's layers call the attention registered as `name` within, and the one from before, yielded, afterwards.

    The switch takes as long as a small layer does.
    """
    base = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    before = base.config._attn_implementation or "sdpa"
    base.set_attn_implementation(name)
    try:
        yield before
    finally:
        base.set_attn_implementation(before)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off within, and as it was afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def computing_in(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Products are computed in `dtype` within, whatever the weights are held in; types of full precision are as is."""
    return torch.autocast(device.type, dtype, enabled=dtype.itemsize < 4)


IGNORED = frozenset(
    {"dropout", "is_causal", "position_ids", "cache_position", "sliding_window", "use_cache", "return_dict"}
    | {"output_attentions", "output_hidden_states", "output_router_logits"}
)
"""What models pass to an attention function that ours need not know: windows are in the mask that we make."""


def refuse_unknown(arguments: dict[str, object]) -> None:
    """An architecture that passes more to its attention computes something that ours would silently leave out."""
    unknown = sorted(name for name, value in arguments.items() if value is not None and name not in IGNORED)
    if unknown:
        raise ValueError(f"the model's attention takes {', '.join(unknown)}")
