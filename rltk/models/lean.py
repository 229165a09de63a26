"""LoRA layers and linear layers that train, without the copies that surround their products.

PEFT's layer casts its input to float32 and back and keeps both; here what several layers read is cast once, and a LoRA
layer is one function that keeps for its backward pass the cast input and the adapter's small inner state, nothing else.
Its training costs 2IO + 3R(I + O) multiply-adds a token where full fine-tuning costs 3IO: forward IO + R(I + O),
gradient of the input the same again, gradients of the adapter R(I + O), and none of the weight.

Shapes: N tokens, I inputs, O outputs, R rank.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Forward = Callable[..., Tensor]


class Layers:
    """A model's linear layers and LoRA layers, found once: going through all modules takes as long as a small layer."""

    def __init__(self, model: nn.Module) -> None:
        self.lora = [module for module in model.modules() if isinstance(module, Linear)]
        inside = {id(module) for layer in self.lora for module in layer.modules()}
        self.linear = [module for module in model.modules() if type(module) is nn.Linear and id(module) not in inside]
        bases = [layer.get_base_layer() for layer in self.lora]
        self.linear += [base for base in bases if type(base) is nn.Linear]

    def plain_lora(self) -> list[Linear]:
        return [layer for layer in self.lora if is_plain(layer)]


def is_plain(layer: Linear) -> bool:
    """One adapter, switched on, of the original kind, on an ordinary linear layer that is frozen."""
    return (
        len(layer.active_adapters) == 1
        and layer.active_adapters[0] in layer.lora_A
        and not layer.disable_adapters
        and not layer.merged
        and not layer.lora_variant
        and type(layer.get_base_layer()) is nn.Linear
        and not any(weight.requires_grad for weight in layer.get_base_layer().parameters())
        and layer.lora_B[layer.active_adapters[0]].bias is None
    )


def name_of(layer: Linear) -> str:
    return layer.active_adapters[0]


def base_of(layer: nn.Module) -> nn.Linear:
    base = layer.get_base_layer() if isinstance(layer, Linear) else layer
    assert isinstance(base, nn.Linear)
    return base


@contextmanager
def replaced(forwards: dict[nn.Module, Forward]) -> Iterator[None]:
    """These modules compute by other functions within."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward  # uncovers the class's own


@contextmanager
def lean_training(layers: Layers, dtype: torch.dtype) -> Iterator[None]:
    """Within it forward and backward passes compute the same from fewer copies; products are in `dtype`."""
    cast = Cast(dtype)
    adapted = [layer for layer in layers.plain_lora() if type(layer.lora_dropout[name_of(layer)]) is nn.Identity]
    forwards: dict[nn.Module, Forward] = {layer: linear_forward(layer, cast) for layer in layers.linear}
    forwards |= {layer: lora_forward(layer, cast) for layer in adapted}
    with replaced(forwards):
        yield


class Cast:
    """Casts a tensor once for all layers that read it, until its contents change."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.last: tuple[Tensor, int, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype == self.dtype:
            return x
        if self.last is None or self.last[0] is not x or self.last[1] != x._version:
            self.last = (x, x._version, x.to(self.dtype))
        return self.last[2]


def linear_forward(layer: nn.Linear, cast: Cast) -> Forward:
    """Autocast sees to the weight; it keeps what it has cast as long as it is on."""

    def forward(x: Tensor) -> Tensor:
        return F.linear(cast(x), layer.weight, layer.bias)

    return forward


def lora_forward(layer: Linear, cast: Cast) -> Forward:
    name, base = name_of(layer), base_of(layer)
    down, up, scaling = layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]

    def forward(x: Tensor, *_: object, **__: object) -> Tensor:
        y = LoRAProduct.apply(cast(x), base.weight.detach(), base.bias, down, up, scaling)
        assert isinstance(y, Tensor)
        return y

    return forward


class LoRAProduct(torch.autograd.Function):
    """y = x W^T + b + s (x A^T) B^T, with W and b frozen (Hu et al. 2021, arXiv 2106.09685, equation 3)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, down_RI: Tensor, up_OR: Tensor, scaling: float
    ) -> Tensor:
        weight_OI, down = weight_OI.to(x.dtype), down_RI.to(x.dtype)
        # The scale goes into the small matrix before it is rounded, as it does where completions are sampled.
        up = (up_OR * scaling).to(x.dtype)
        x_NI = x.reshape(-1, x.shape[-1])
        low_NR = x_NI @ down.t()
        y = F.linear(x, weight_OI, None if bias_O is None else bias_O.to(x.dtype))
        y.view(-1, y.shape[-1]).addmm_(low_NR, up.t())
        ctx.save_for_backward(x_NI, low_NR, weight_OI, down, up)
        ctx.shape, ctx.scaling, ctx.dtype = x.shape, scaling, down_RI.dtype
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # one output
        x_NI, low_NR, weight_OI, down, up = ctx.saved_tensors
        dy_NO = dy.reshape(-1, dy.shape[-1])
        dlow_NR = dy_NO @ up
        dup_OR, ddown_RI = (dy_NO.t() @ low_NR).to(ctx.dtype) * ctx.scaling, (dlow_NR.t() @ x_NI).to(ctx.dtype)
        if not ctx.needs_input_grad[0]:
            return None, None, None, ddown_RI, dup_OR, None
        dx_NI = (dy_NO @ weight_OI).addmm_(dlow_NR, down)
        return dx_NI.view(ctx.shape), None, None, ddown_RI, dup_OR, None
