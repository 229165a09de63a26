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
        if is_target(matrix, tune):
            is_divided = tune.expert_rank == "divided" and matrix.is_expert
            yield Adapted(matrix, max(1, tune.rank // (shape.experts_a_token or 1)) if is_divided else tune.rank)


def is_target(matrix: Matrix, tune: LoRA) -> bool:
    match tune.targets:
        case "all-linear":
            return matrix.place != "router"
        case "attention":
            return matrix.place == "attention"
        case "mlp":
            return matrix.place not in ("attention", "router")
        case names:
            return any(matrix.name == name or matrix.name.endswith(f".{name}") for name in names)


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
