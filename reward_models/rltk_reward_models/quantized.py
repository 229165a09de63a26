"""A frozen base in four bits: NF4 with doubly quantized block constants (Dettmers et al. 2023, arXiv 2305.14314).

Linear layers between the embeddings and the head are held so; what an adapter adds to them stays float32.
"""

import copy
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig

from rltk_reward_models.base_file import NF4

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PACKAGE = "bitsandbytes"
BLOCK = 64
"""Numbers that share a constant."""
LAYER = "Linear4bit"
"""Bitsandbytes' class. It is known by its name, so that models that have none do not import its package."""


def refuse_absent() -> None:
    """ValueError where four bits cannot be had."""
    try:
        importlib.import_module(PACKAGE)
    except (ImportError, OSError, RuntimeError) as error:  # it loads a library of its own, made for one platform
        raise ValueError(f"it needs {PACKAGE} ({error}); install it with: pip install 'rltk[quantize]'") from error


def options(quantize: str | None, compute: torch.dtype, device: str | torch.device) -> dict[str, Any]:
    """What `from_pretrained` takes for it beside the rest; nothing where nothing is to be quantized."""
    if quantize is None:
        return {}
    refuse_absent()
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantize,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    return {"quantization_config": config, "device_map": {"": str(device)}}


def steady(model: nn.Module) -> int:
    """Makes all of them compute alike whether they train or not; how many there are. ValueError where one is wrong.

    On some CPUs bitsandbytes packs a weight anew in the first evaluation, rounds its constants, and gives no gradient
    through it from then on: what is sampled would not be what is trained.
    """
    layers = list(four_bit_layers(model))
    for layer in layers:
        vars(layer)["support_avx512bf16_for_cpu"] = False  # bitsandbytes' own
        if layer.in_features % BLOCK and not torch.equal(numbers(layer.weight).flatten(), in_one_row(layer.weight)):
            raise ValueError(
                f"bitsandbytes reads weights of a layer of {layer.in_features} inputs wrong on this machine; take a "
                f"model whose layers have multiples of {BLOCK}, or a GPU"
            )
    return len(layers)


def four_bit_layers(model: nn.Module) -> Iterator[nn.Linear]:
    for module in model.modules():
        if type(module).__name__ == LAYER and isinstance(module, nn.Linear):
            yield module


def kind_of(model: nn.Module) -> Literal["nf4"] | None:
    """What its base is quantized to, as a recipe says it."""
    return NF4 if any(True for _ in four_bit_layers(model)) else None


def shape_of(weight: Tensor) -> torch.Size:
    """Of the matrix that a weight stands for: in four bits it is held as a column of bytes, two numbers each."""
    state = getattr(weight, "quant_state", None)
    return weight.shape if state is None else torch.Size(state.shape)


def numbers(weight: Tensor) -> Tensor:
    """The matrix that a weight stands for, in float32 where it is held in four bits."""
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight.detach()
    from bitsandbytes.functional import dequantize_4bit  # pyright: ignore[reportMissingImports]

    return dequantize_4bit(weight.data, state).float()


def in_one_row(weight: Tensor) -> Tensor:
    """Its numbers one after another. On CPUs bitsandbytes 0.50 confuses blocks that reach over the end of a row."""
    from bitsandbytes.functional import dequantize_4bit  # pyright: ignore[reportMissingImports]

    state: Any = copy.copy(weight.quant_state)  # pyright: ignore[reportAttributeAccessIssue]  # bitsandbytes' own
    state.shape = torch.Size((1, state.shape.numel()))
    return dequantize_4bit(weight.data, state).float().flatten()


def whole(model: nn.Module) -> None:
    """Puts in place of every such layer a linear layer of the float32 numbers that its bytes stand for."""
    for name, module in list(model.named_modules()):
        if type(module).__name__ == LAYER and isinstance(module, nn.Linear):
            plain = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
            plain.weight = nn.Parameter(numbers(module.weight), requires_grad=False)
            plain.bias = module.bias
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, plain)
    forget(model)


def forget(model: Any) -> None:
    """So that transformers and PEFT take it for the ordinary model that it is now."""
    config: PretrainedConfig = model.config
    if hasattr(config, "quantization_config"):
        delattr(config, "quantization_config")
    for name, value in (("is_loaded_in_4bit", False), ("is_quantized", False), ("hf_quantizer", None)):
        setattr(model, name, value)
    model.quantization_method = None


@contextmanager
def computing_in(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Within it the products of these layers are in `dtype`."""
    layers: list[Any] = list(four_bit_layers(model))
    before = [layer.compute_dtype for layer in layers]
    try:
        for layer in layers:
            layer.compute_dtype = dtype
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer.compute_dtype = value
