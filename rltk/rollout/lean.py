"""LoRA layers without what only training needs, while completions are sampled.

PEFT's forward casts and scales at every call. Here the two small matrices are cast, and the scale is multiplied into
one of them, once a rollout. The adapter stays a term of its own: nothing is merged into the base weights, whose low
precision would round small updates away.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn


@contextmanager
def lean_adapters(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Weights must not change within; afterwards the layers are PEFT's again."""
    layers = [module for module in model.modules() if isinstance(module, Linear) and is_plain(module)]
    for layer in layers:
        layer.forward = lean_forward(layer, dtype)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # uncovers the class's own


def is_plain(layer: Linear) -> bool:
    """One adapter, switched on, of the original kind, on an ordinary linear layer."""
    return (
        len(layer.active_adapters) == 1
        and layer.active_adapters[0] in layer.lora_A
        and not layer.disable_adapters
        and not layer.merged
        and not layer.lora_variant
        and type(layer.get_base_layer()) is nn.Linear
        and layer.lora_B[layer.active_adapters[0]].bias is None
    )


def lean_forward(layer: Linear, dtype: torch.dtype) -> Callable[..., Tensor]:
    name, base = layer.active_adapters[0], layer.get_base_layer()
    small, large = layer.lora_A[name], layer.lora_B[name]
    assert isinstance(base, nn.Linear) and isinstance(small, nn.Linear) and isinstance(large, nn.Linear)
    down, up = small.weight.detach().to(dtype), (large.weight.detach() * layer.scaling[name]).to(dtype)

    def forward(x: Tensor, *_: object, **__: object) -> Tensor:
        x = x.to(dtype)  # once, not once a product
        return F.linear(x, base.weight, base.bias) + F.linear(F.linear(x, down), up)

    return forward
