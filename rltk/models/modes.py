"""A model in another mode for a while: attending through a function of ours, or without dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel


@contextmanager
def attending_through(model: nn.Module, name: str) -> Iterator[None]:
    """The model's layers call the attention registered as `name` within, and the one from before afterwards."""
    base = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    before = base.config._attn_implementation or "sdpa"
    base.set_attn_implementation(name)
    try:
        yield
    finally:
        base.set_attn_implementation(before)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off within, and as it was afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
