"""How many parameters train, and what that costs in floating-point operations. Exact; no estimate stands here.

A linear layer of m outputs and n inputs costs, in multiply-adds a token, mn forward; trained, 2mn more (gradients of
input and weight), which makes 3mn; frozen beside a LoRA of rank r, mn more (gradient of the input) and 3r(m + n) for
the adapter (Schulman et al. 2025, "LoRA Without Regret", thinkingmachines.ai/blog/lora). A FLOP is half of one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rltk.plan.shape import Matrix, Shape
from rltk.recipe.schema import Full, LoRA


class Adapted(NamedTuple):
    matrix: Matrix
    rank: int


def adapted(shape: Shape, tune: LoRA) -> Iterator[Adapted]:
    """The matrices that get an adapter, as `rltk.models.adapters` chooses them, with its rank in each."""
    for matrix in shape.matrices:
        if layers := layers_adapted(shape, matrix, tune):
            matrix = in_layers(matrix, layers, shape.layers)
            is_divided = tune.expert_rank == "divided" and matrix.is_expert
            yield Adapted(matrix, max(1, tune.rank // (shape.experts_a_token or 1)) if is_divided else tune.rank)


def layers_adapted(shape: Shape, matrix: Matrix, tune: LoRA) -> int:
    """In how many layers it gets an adapter: all or none, or as many as names such as `3.self_attn.q_proj` number."""
    match tune.targets:
        case "all-linear":
            is_target = matrix.place != "router"
        case "attention":
            is_target = matrix.place == "attention"
        case "mlp":
            is_target = matrix.place not in ("attention", "router")
        case names:
            layers = {layer_of(name) for name in names if is_meant(name, matrix)}
            return shape.layers if None in layers else len(layers)
    return shape.layers if is_target else 0


def is_meant(name: str, matrix: Matrix) -> bool:
    """Whether one of the two names ends in the other; a module's own is longer by the places that it is in."""
    return f".{matrix.name}".endswith(f".{name}") or f".{name}".endswith(f".{matrix.name}")


def layer_of(name: str) -> int | None:
    return next((int(part) for part in name.split(".") if part.isdecimal()), None)


def in_layers(matrix: Matrix, layers: int, of: int) -> Matrix:
    """As it occurs in some of the layers."""
    return matrix._replace(times=matrix.times * layers // of, active=matrix.active * layers / of)


def adapter_parameters(shape: Shape, tune: LoRA, *, with_head: bool = False) -> int:
    """`with_head` adds an adapter on the output head, which rltk never does and some published counts do."""
    inner = sum(matrix.times * rank * (matrix.outputs + matrix.inputs) for matrix, rank in adapted(shape, tune))
    return inner + (tune.rank * (shape.vocabulary + shape.hidden) if with_head else 0)


def trainable_parameters(shape: Shape, tune: LoRA | Full) -> int:
    return shape.parameters if isinstance(tune, Full) else adapter_parameters(shape, tune)


class Tokens(NamedTuple):
    """Tokens that go through the layers, and how many of them through the output head too."""

    through_layers: float
    scored: float


def forward_flops(shape: Shape, tokens: Tokens, tune: LoRA | Full | None = None) -> float:
    """Of all linear layers and the head; of the adapter too where `tune` is a LoRA. Attention is in `attention_flops`.

    One of a mixture's experts counts as often as tokens are sent to it.
    """
    base = sum(matrix.active * matrix.size for matrix in shape.matrices)
    adapters = adapted(shape, tune) if isinstance(tune, LoRA) else ()
    low = sum(m.active * rank * (m.outputs + m.inputs) for m, rank in adapters)
    return 2 * (tokens.through_layers * (base + low) + tokens.scored * shape.embedding)


def training_flops(shape: Shape, tune: LoRA | Full, tokens: Tokens) -> float:
    """Forward and backward of all linear layers and the head, without recomputation and without attention."""
    if isinstance(tune, Full):
        return 3 * forward_flops(shape, tokens)
    base = sum(2 * matrix.active * matrix.size for matrix in shape.matrices)
    low = 0.0
    for matrix, rank in adapted(shape, tune):
        low += 3 * matrix.active * rank * (matrix.outputs + matrix.inputs)
    # What reads the embeddings alone sends no gradient further: neither the layer's own nor the adapter's.
    ranks = {matrix.name: rank for matrix, rank in adapted(shape, tune)}
    spared = sum(m.reads_embeddings * (m.size + ranks.get(m.name, 0) * m.inputs) for m in shape.matrices)
    return 2 * (tokens.through_layers * (base + low - spared) + tokens.scored * 2 * shape.embedding)


def attention_flops(shape: Shape, pairs: float, *, trains: bool) -> float:
    """Of the two products with `pairs` pairs of query and key a head; the backward pass has four."""
    products = 6 if trains else 2
    return 2 * products * shape.layers * shape.heads * shape.head_size * pairs
