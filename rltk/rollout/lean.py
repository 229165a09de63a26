"""Linear layers and norms without what only training needs, while completions are sampled.

A decode step is short, so what surrounds its products counts: under autocast each layer casts its weights and its input
anew, and PEFT casts and scales at every call. Here weights are cast, and the adapter's scale is multiplied into one of
its matrices, once a rollout. The adapter stays a term of its own: nothing is merged into the base weights, whose low
precision would round small updates away.

On CPUs a bfloat16 product has a fixed cost of 20 microseconds where the adapter's small ones take 3 in float32, and
what comes between products is faster in float32 too: so there only the large products are in bfloat16, and layers that
read the same input share one.

Shapes: B rows, I inputs, O outputs, R rank.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from peft.tuners.lora import Linear
from torch import Tensor, nn

from rltk.models.lean import Forward, Layers, base_of, name_of, replaced
from rltk.models.modes import computing_in

CLOSE = 1e-5
"""By which a norm may differ from torch's fused one and still be it."""
SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers of one parent that read the same input, by the names most architectures give them."""
SMALL = 2**20
"""Elements of a weight up to which the fixed cost of its product matters more than a second copy of it."""


class LeanLayers:
    """What of a model can be computed leanly, found once for all rollouts."""

    def __init__(self, model: nn.Module) -> None:
        self.layers, self.device = Layers(model), next(model.parameters()).device
        self.norms = [module for module in model.modules() if is_rms_norm(module)]
        self.siblings = list(siblings(model)) if self.device.type == "cpu" else []
        self.needs_autocast = has_other_products(model, self.layers)

    @contextmanager
    def computing_in(self, dtype: torch.dtype) -> Iterator[None]:
        """Within it the model computes in `dtype`. Weights must not change; afterwards the layers are as before."""
        between = torch.float32 if self.device.type == "cpu" and not self.needs_autocast else dtype
        forwards: dict[nn.Module, Forward] = {}
        for layers in self.siblings:
            forwards |= shared_forwards(layers, dtype, between)
        alone = [layer for layer in self.layers.linear if layer not in forwards]
        forwards |= {layer: linear_forward(layer, dtype, between) for layer in alone}
        forwards |= {
            layer: lora_forward(layer, forwards[base_of(layer)], between) for layer in self.layers.plain_lora()
        }
        forwards |= {norm: norm_forward(norm) for norm in self.norms}
        with replaced(forwards), computing_in(dtype, self.device) if self.needs_autocast else nullcontext():
            yield


def has_other_products(model: nn.Module, layers: Layers) -> bool:
    """Whether matrices are multiplied outside of linear layers: by experts, say, or convolutions."""
    lean = {id(weight) for layer in (*layers.linear, *layers.lora) for weight in layer.parameters()}
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return any(weight.ndim > 1 and id(weight) not in lean | tables for weight in model.parameters())


def linear_forward(layer: nn.Linear, dtype: torch.dtype, between: torch.dtype) -> Forward:
    """The layer's product in `dtype`; its result in the dtype of what comes between products."""
    weight_OI, bias_O = layer.weight.detach().to(dtype), None if layer.bias is None else layer.bias.detach().to(dtype)

    def forward(x: Tensor) -> Tensor:
        return F.linear(x.to(dtype), weight_OI, bias_O).to(between)

    return forward


def siblings(model: nn.Module) -> Iterator[list[nn.Linear]]:
    """Small linear layers that read the same input."""
    for parent in model.modules():
        for names in SIBLINGS:
            children = [getattr(parent, name, None) for name in names]
            layers = [child.get_base_layer() if isinstance(child, Linear) else child for child in children]
            if all(type(layer) is nn.Linear and is_small(layer) for layer in layers):
                yield [base_of(layer) for layer in layers if layer is not None]


def is_small(layer: nn.Linear) -> bool:
    return layer.weight.numel() <= SMALL and layer.bias is None


def shared_forwards(layers: Sequence[nn.Linear], dtype: torch.dtype, between: torch.dtype) -> dict[nn.Module, Forward]:
    """One product for all of them, computed by whichever is called first with an input."""
    weights = [layer.weight.detach().to(dtype) for layer in layers]
    weight_OI, sizes = torch.cat(weights), [len(weight) for weight in weights]
    known: list[Tensor] = []
    parts: dict[int, Tensor] = {}

    def part(index: int, x: Tensor) -> Tensor:
        if not known or x is not known[0] or index not in parts:
            known[:] = [x]
            parts.update(enumerate(F.linear(x.to(dtype), weight_OI).to(between).split(sizes, dim=-1)))
        return parts.pop(index)  # given away: an adapter adds to it in place

    return {layer: partial(part, index) for index, layer in enumerate(layers)}


def lora_forward(layer: Linear, product: Forward, between: torch.dtype) -> Forward:
    """`product`, that of the base layer, and the adapter's term."""
    name = name_of(layer)
    small, large = layer.lora_A[name].get_parameter("weight"), layer.lora_B[name].get_parameter("weight")
    down_RI, up_OR = small.detach().to(between), (large.detach() * layer.scaling[name]).to(between)

    def forward(x: Tensor, *_: object, **__: object) -> Tensor:
        y = product(x)
        low_BR = F.linear(x.to(between), down_RI).flatten(0, -2)
        y.view(-1, len(up_OR)).addmm_(low_BR, up_OR.t())
        return y

    return forward


def is_rms_norm(module: nn.Module) -> bool:
    """Whether torch's fused RMS norm (Zhang and Sennrich 2019, arXiv 1910.07467) computes what this module does."""
    weight, eps = getattr(module, "weight", None), epsilon(module)
    if not type(module).__name__.endswith("RMSNorm") or not isinstance(weight, Tensor) or eps is None:
        return False
    if len(list(module.parameters())) > 1:  # another one may be zero now and not stay so
        return False
    x = torch.linspace(-2, 3, weight.numel(), device=weight.device)[None]
    fused, own = F.rms_norm(x, weight.shape, weight.float(), eps), module(x)
    return weight.ndim == 1 and torch.allclose(fused, own.float(), rtol=CLOSE, atol=CLOSE)


def epsilon(module: nn.Module) -> float | None:
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    return eps if isinstance(eps, float) else None


def norm_forward(norm: nn.Module) -> Forward:
    weight, eps = norm.get_parameter("weight").detach().float(), epsilon(norm)

    def forward(x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), weight.shape, weight, eps)

    return forward
