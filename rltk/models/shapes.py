"""The shape of any causal language model that transformers can build, for planning: built without memory for weights.

This is the slow way (torch and transformers take seconds to import); `rltk.plan.shape` reads common families at once.
"""

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from rltk.errors import UserError
from rltk.models.adapters import expert_weights, is_attention, is_router, linear_layers
from rltk.models.load import load_config
from rltk.plan.shape import Matrix, Place, Shape
from rltk.recipe.schema import Model


def built_shape(model: Model) -> Shape:
    try:
        with torch.device("meta"):
            built = AutoModelForCausalLM.from_config(load_config(model), trust_remote_code=model.trust_remote_code)
    except ValueError as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"model.path = {model.path!r}: it is no causal language model ({first_line}).") from error
    return shape_of_model(built)


def shape_of_model(model: PreTrainedModel) -> Shape:
    """Every matrix by itself; the widths that activations depend on are those the config names."""
    config = model.config.get_text_config()
    active = getattr(config, "num_experts_per_tok", None)
    found = [*(linear(name, module) for name, module in linear_layers(model))]
    known = {matrix.name for matrix in found}
    found += [router(name, module) for name, module in model.named_modules() if is_bare_router(name, module, known)]
    found += [experts(name, model.get_parameter(name), active or 1) for name in expert_weights(model)]
    embeddings = model.get_input_embeddings().get_parameter("weight")
    head = model.get_output_embeddings()
    is_tied = head is not None and head.get_parameter("weight") is embeddings
    tables = embeddings.numel() * (1 if is_tied else 2)
    total = sum(weight.numel() for weight in model.parameters())
    return Shape(
        model_type=config.model_type,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        key_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads,
        head_size=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        intermediate=intermediate(config, active),
        vocabulary=len(embeddings),
        context=getattr(config, "max_position_embeddings", None),
        is_tied=is_tied,
        matrices=tuple(found),
        vectors=total - tables - sum(matrix.times * matrix.size for matrix in found),
        norms=2,
        has_head_norms=any(name.endswith("q_norm") for name, _ in model.named_modules()),
        experts_a_token=active,
    )


def intermediate(config: object, active: int | None) -> int:
    """Width of the MLP that one token passes through."""
    width = getattr(config, "intermediate_size", None) or 4 * getattr(config, "hidden_size", 0)
    return active * (getattr(config, "moe_intermediate_size", None) or width) if active else width


def linear(name: str, module: nn.Module) -> Matrix:
    outputs, inputs = module.get_parameter("weight").shape
    if isinstance(module, Conv1D):  # GPT-2 keeps its matrices the other way round
        outputs, inputs = inputs, outputs
    return Matrix(name, place_of(name), outputs, inputs)


def is_bare_router(name: str, module: nn.Module, known: set[str]) -> bool:
    """A router that is no linear layer but holds a matrix."""
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    return is_router(name) and name not in known and weight is not None and weight.ndim == 2


def router(name: str, module: nn.Module) -> Matrix:
    outputs, inputs = module.get_parameter("weight").shape
    return Matrix(name, "router", outputs, inputs)


def experts(name: str, weight: nn.Parameter, active: int) -> Matrix:
    times, outputs, inputs = weight.shape
    return Matrix(name, place_of(name), outputs, inputs, times, active, is_expert=True)


def place_of(name: str) -> Place:
    return "router" if is_router(name) else "attention" if is_attention(name) else "mlp"
