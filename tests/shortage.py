"""Memory that runs out on a machine that has enough."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def short_of_memory(model: nn.Module, tokens: int) -> Iterator[list[int]]:
    """A forward pass over more tokens than this runs out; yields how many each one was asked for."""
    table = next(module for module in model.modules() if isinstance(module, nn.Embedding))
    asked: list[int] = []

    def refuse(_: nn.Module, args: tuple[Tensor]) -> None:
        asked.append(args[0].numel())
        if args[0].numel() > tokens:
            raise torch.OutOfMemoryError

    handle = table.register_forward_pre_hook(refuse)
    yield asked
    handle.remove()
