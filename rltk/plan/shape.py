"""The weight matrices of a causal language model, from its config.json alone: no weights, no torch, no transformers.

Families of one build (attention, gated MLP, norms) are read by a table of the few things in which they differ; each is
checked against transformers' own build of it (`tests/plan/test_shape.py`). Any other architecture is None here and is
built on the meta device by `rltk.models.shapes`, which takes seconds rather than milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Place = Literal["attention", "mlp", "router", "other"]


class Matrix(NamedTuple):
    """A weight matrix, as often as it occurs in the model."""

    name: str
    place: Place
    outputs: int
    inputs: int
    times: int = 1
    """Over all layers and experts."""
    active: float = 1
    """How many of them one token passes through."""
    reads_embeddings: int = 0
    """How many of them read nothing but the embeddings, whose gradient is not needed where they are frozen."""
    is_expert: bool = False

    @property
    def size(self) -> int:
        return self.outputs * self.inputs


@dataclass(frozen=True)
class Shape:
    model_type: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    intermediate: int
    """Width of the MLP that one token passes through: that of all its experts together."""
    vocabulary: int
    context: int | None
    is_tied: bool
    """The output head is the embedding matrix."""
    matrices: tuple[Matrix, ...]
    """All but embeddings and output head."""
    vectors: int
    """Parameters of norms and biases."""
    norms: int
    """Norms of the hidden size in a layer."""
    has_head_norms: bool
    """Queries and keys are normalized head by head."""
    experts_a_token: int | None = None

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def linear(self) -> int:
        """Parameters of all matrices but embeddings and head."""
        return sum(matrix.times * matrix.size for matrix in self.matrices)

    @property
    def parameters(self) -> int:
        return self.linear + self.vectors + self.embedding * (1 if self.is_tied else 2)

    @property
    def active_parameters(self) -> int:
        """Of matrices that one token is multiplied by, the head included."""
        return round(sum(matrix.active * matrix.size for matrix in self.matrices)) + self.embedding


class Family(NamedTuple):
    """In what architectures of one build differ."""

    is_tied: bool = False
    """Where the config does not say."""
    norms: int = 2
    head_norms: bool = False
    biases: Literal["none", "qkv", "config"] = "config"
    """config: attention_bias adds one to all four projections."""
    has_mlp_biases: bool = False
    """mlp_bias adds them."""
    has_experts: bool = False


FAMILIES = {
    "llama": Family(has_mlp_biases=True),
    "mistral": Family(biases="none"),
    "smollm3": Family(is_tied=True, has_mlp_biases=True),
    "qwen2": Family(biases="qkv"),
    "qwen3": Family(head_norms=True),
    "qwen3_moe": Family(head_norms=True, has_experts=True),
    "gemma2": Family(is_tied=True, norms=4),
    "gemma3_text": Family(is_tied=True, norms=4, head_norms=True),
}
NEEDED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)
NEEDED_OF_EXPERTS = ("moe_intermediate_size", "num_experts", "num_experts_per_tok")


def shape_of(config: dict[str, Any]) -> Shape | None:
    """None for a family that is not in the table, and for a config that leaves out what the table cannot know."""
    family = FAMILIES.get(config.get("model_type", ""))
    config = {"num_experts": config.get("num_local_experts"), **config}  # the newer name
    if family is None or any(not isinstance(config.get(key), int) for key in NEEDED):
        return None
    if family.has_experts and (
        any(not isinstance(config.get(key), int) for key in NEEDED_OF_EXPERTS)
        or config.get("mlp_only_layers")
        or config.get("decoder_sparse_step", 1) != 1
    ):
        return None  # some layers are dense
    heads, hidden, layers = config["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"]
    head_size = config.get("head_dim") or hidden // heads
    active = config["num_experts_per_tok"] if family.has_experts else None
    width = config["moe_intermediate_size"] * active if active else config["intermediate_size"]
    return Shape(
        model_type=config["model_type"],
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_heads=config["num_key_value_heads"],
        head_size=head_size,
        intermediate=width,
        vocabulary=config["vocab_size"],
        context=config.get("max_position_embeddings"),
        is_tied=config.get("tie_word_embeddings", family.is_tied),
        matrices=tuple(matrices(config, family, head_size)),
        vectors=vectors(config, family, head_size),
        norms=family.norms,
        has_head_norms=family.head_norms,
        experts_a_token=active,
    )


def matrices(config: dict[str, Any], family: Family, head_size: int) -> Iterator[Matrix]:
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    queries, keys = head_size * config["num_attention_heads"], head_size * config["num_key_value_heads"]
    for name, outputs in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        yield Matrix(name, "attention", outputs, hidden, layers, layers, reads_embeddings=1)
    yield Matrix("o_proj", "attention", hidden, queries, layers, layers)
    if not family.has_experts:
        width = config["intermediate_size"]
        for name in ("gate_proj", "up_proj"):
            yield Matrix(name, "mlp", width, hidden, layers, layers)
        yield Matrix("down_proj", "mlp", hidden, width, layers, layers)
        return
    experts, width = config["num_experts"], config["moe_intermediate_size"]
    many, active = layers * experts, layers * config["num_experts_per_tok"]
    yield Matrix("gate", "router", experts, hidden, layers, layers)
    yield Matrix("experts.gate_up_proj", "mlp", 2 * width, hidden, many, active, is_expert=True)
    yield Matrix("experts.down_proj", "mlp", hidden, width, many, active, is_expert=True)


def vectors(config: dict[str, Any], family: Family, head_size: int) -> int:
    """Norms, one more of them at the end, and biases."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    queries, keys = head_size * config["num_attention_heads"], head_size * config["num_key_value_heads"]
    a_layer = family.norms * hidden + (2 * head_size if family.head_norms else 0)
    if family.biases == "qkv" or (family.biases == "config" and config.get("attention_bias")):
        a_layer += queries + 2 * keys + (hidden if family.biases == "config" else 0)
    if family.has_mlp_biases and config.get("mlp_bias"):
        a_layer += 2 * config["intermediate_size"] + hidden
    return layers * a_layer + hidden
