"""Bytes that the forward pass of a decoder layer keeps for its backward pass, and what both need beside that.

Derived layer by layer from what autograd saves in rltk's own training step (`models/lean.py`, `models/packing.py`) and
compared with measurements by `benchmarks/plan_memory.py`. The residual stream and the norms are float32; products take
their inputs in the dtype of the arithmetic, of c bytes.
"""

from typing import NamedTuple

from rltk.plan.count import adapted
from rltk.plan.shape import Shape
from rltk.plan.workload import MicroBatch, Tune
from rltk.recipe.schema import Full

FLOAT, INDEX = 4, 8
LOGITS = 2**26
"""`rltk.models.scoring.CHUNK` and `ARRAYS`; a test holds them together."""
ARRAYS = 5
FUSED_TOKENS, FUSED_COLUMNS = 4096, 32768
"""Of a tile of logits in TRL's fused head; a test holds them to `trl.kernels` and `trl.trainer.utils`."""
FOLDED = 7 * FLOAT + 1
"""Bytes a number of such a tile in its backward pass without Triton, beside the logit itself: the logit in float32, the
scaled one, its logarithm of the softmax, the softmax, the gradient, and a comparison with the target (one byte) whose
float and whose difference to the softmax are there at once."""


class Activations(NamedTuple):
    kept: float
    """From the forward to the backward pass, all layers."""
    working: float
    """Most beside it at any time, outside of the output head."""


def activations(shape: Shape, tune: Tune, batch: MicroBatch, c: int, *, checkpointing: bool) -> Activations:
    layer = layer_bytes(shape, tune, batch, c)
    # The last norm, and the states at scored positions on their way into the head.
    last = batch.tokens * shape.hidden * (FLOAT + trained_norm(tune)) + batch.scored * shape.hidden * (FLOAT + c)
    working = working_bytes(shape, batch, c)
    if checkpointing:
        return Activations(shape.layers * batch.tokens * shape.hidden * FLOAT + last, layer + working)
    return Activations(shape.layers * layer + last, working)


def layer_bytes(shape: Shape, tune: Tune, batch: MicroBatch, c: int) -> float:
    queries, keys = shape.heads * shape.head_size, shape.key_heads * shape.head_size
    norms = shape.norms * shape.hidden * (FLOAT + trained_norm(tune))
    # The norms' outputs: cast for the products, or read by them as they are.
    inputs = 2 * shape.hidden * c
    head_norms = (queries + keys) * (FLOAT + (c if isinstance(tune, Full) else 0)) if shape.has_head_norms else 0
    mlp = 4 * shape.intermediate * c
    low = (
        sum(m.active * rank for m, rank in adapted(shape, tune)) * c / shape.layers if not isinstance(tune, Full) else 0
    )
    return batch.tokens * (norms + inputs + head_norms + mlp + low) + attention_bytes(shape, batch, c)


def trained_norm(tune: Tune) -> int:
    """A norm whose weight trains keeps what the weight is multiplied by."""
    return FLOAT if isinstance(tune, Full) else 0


def attention_bytes(shape: Shape, batch: MicroBatch, c: int) -> float:
    """Queries, keys and values as the products want them, the weights where they are not fused away, and the output."""
    queries, keys = shape.heads * shape.head_size, shape.key_heads * shape.head_size
    output = batch.tokens * queries * c
    if not batch.is_packed:
        return batch.tokens * (queries + 2 * keys) * c + output + batch.tokens * shape.heads * FLOAT
    (prompt, completion), groups, sequences = batch.lengths, batch.groups, batch.sequences
    at_queries = groups * prompt + sequences * completion
    at_keys = groups * prompt + sequences * (prompt + completion)
    gathered = at_queries * (queries * c + shape.heads * INDEX) + 2 * at_keys * (keys * c + shape.key_heads * INDEX)
    return gathered + shape.heads * batch.pairs * c + output


def working_bytes(shape: Shape, batch: MicroBatch, c: int) -> float:
    """The largest gradients that live side by side in a layer's backward pass."""
    mlp = batch.tokens * 3 * shape.intermediate * c
    attention = 3 * shape.heads * batch.pairs * c if batch.is_packed else 0
    return max(mlp, attention) + batch.tokens * shape.hidden * (FLOAT + c)


def logits_bytes(shape: Shape, scored: float) -> float:
    """Logits of a chunk, what is made of them, and their gradients."""
    return min(LOGITS / ARRAYS, scored * shape.vocabulary) * ARRAYS * FLOAT


def fused_bytes(shape: Shape, tune: Tune, batch: MicroBatch, c: int, *, on_cpu: bool) -> float:
    """Of TRL's head (SFT, DPO): a tile of logits, made anew for the backward pass, and gradients that it adds up in.

    With Triton, so on GPUs, the tile is of trained positions and nothing is beside it; on CPUs it is of all positions,
    prompts too, and pages of it that the vocabulary does not reach are never touched.
    """
    positions = batch.tokens if on_cpu else batch.scored
    columns = min(shape.vocabulary, FUSED_COLUMNS) if on_cpu else FUSED_COLUMNS
    tile = min(positions, FUSED_TOKENS) * columns * (c + FOLDED if on_cpu else c)
    gradients = positions * shape.hidden + (shape.embedding if isinstance(tune, Full) else 0)
    return float(tile + FLOAT * gradients)
