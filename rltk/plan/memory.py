"""Peak memory of a step, part by part: of sampling, which holds a cache, and of training, which holds activations.

The peak is that of the phase that needs more. Weights that train are float32 with float32 gradients and Adam's two
moments, 16 bytes a parameter, and 2 more for the copies that bfloat16 arithmetic makes of them: the 18 bytes of
transformers' "Model training anatomy". Frozen matrices are held in bfloat16 where the recipe computes in it.
"""

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from rltk.plan.activations import FLOAT, activations, fused_bytes, logits_bytes
from rltk.plan.count import adapter_parameters
from rltk.plan.roles import roles, trained_parameters
from rltk.plan.shape import Shape
from rltk.plan.workload import MicroBatch, Tune, Workload
from rltk.recipe.schema import Full

FIRST_COLUMNS = 32
"""`rltk.rollout.cache.FIRST_COLUMNS`; a test holds the two together."""
SMALL_MATRIX = 2**20
"""`rltk.rollout.lean.SMALL`, likewise."""
SIBLINGS = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
"""Matrices that lean sampling joins where they are small."""
BUCKET = FLOAT * 500_000_000
"""Bytes of gradients that DeepSpeed sends at once, as it comes (`reduce_bucket_size`)."""
ARRAYS_DRAWN = 4
"""Arrays of the vocabulary's size that a token is drawn with: logits, log-probabilities, and two of what follows."""


@dataclass(frozen=True)
class Layout:
    """How a model's state is spread over GPUs: DeepSpeed's ZeRO (Rajbhandari et al. 2020, arXiv 1910.02054)."""

    gpus: int = 1
    """In all, on all nodes."""
    nodes: int = 1
    zero: int = 0
    """1 shards the optimizer's state, 2 the gradients too, 3 the weights too."""
    offload: bool = False
    """Optimizer state, and with stage 3 the weights, in the host's memory."""
    device: str = "cuda"

    @property
    def is_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def is_split(self) -> bool:
        """Whether ZeRO stages make a difference."""
        return self.gpus > 1 or self.offload

    def __str__(self) -> str:
        one, several = ("a CPU", "processes on CPUs") if self.is_cpu else ("a GPU", "GPUs")
        number = f"{self.gpus} {several}" if self.gpus > 1 else one
        nodes = f" in {self.nodes} nodes" if self.nodes > 1 else ""
        zero = f", ZeRO {self.zero}{' with offload' if self.offload else ''}" if self.gpus > 1 or self.zero else ""
        return f"{number}{nodes}{zero}"


class Parts(NamedTuple):
    """Bytes on one GPU, or in the process."""

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    kv_cache: float = 0.0

    @property
    def total(self) -> float:
        return sum(self)


class Memory(NamedTuple):
    sampling: Parts
    training: Parts
    roles: dict[str, float]
    """Bytes of weights that each role holds beside those before it; what it shares with the policy is the policy's."""

    @property
    def peak(self) -> Parts:
        return max(self.training, self.sampling, key=lambda parts: parts.total)

    @property
    def phase(self) -> str:
        """Where the peak is; of what does not sample, weights may be gathered."""
        if self.peak is self.training:
            return "training"
        return "sampling" if self.sampling.kv_cache else "gathering"

    def to_json(self) -> dict[str, int]:
        """Each part at its own most; the total is that of the peak, so it may be less than their sum."""
        most = {name: max(getattr(self.sampling, name), getattr(self.training, name)) for name in Parts._fields}
        return {name: round(value) for name, value in most.items()} | {"total": round(self.peak.total)}


class State(NamedTuple):
    """Bytes of what lasts from step to step, as it is spread over the GPUs."""

    weights: float
    gradients: float
    optimizer: float


def plan_memory(shape: Shape, tune: Tune, work: Workload, layout: Layout) -> Memory:
    work = work.on_one_of(layout.gpus)
    held = {name: role.held for name, role in roles(shape, tune, work).items()}
    state = lasting(FLOAT * trained_parameters(shape, tune, work), sum(held.values()), layout)
    samples_here = work.is_sampled and not work.servers
    make = sampling_parts if samples_here else gathered_parts
    return Memory(make(shape, tune, work, layout, state), training_parts(shape, tune, work, layout, state), held)


def lasting(trained: float, held: float, layout: Layout) -> State:
    """`trained` and `held`: bytes of the weights that train, and of all of them."""
    gpus = layout.gpus
    weights = held / gpus if layout.zero >= 3 else held
    return State(
        weights=0.0 if layout.offload and layout.zero >= 3 else weights,
        gradients=gradient_bytes(trained, layout),
        optimizer=0.0 if layout.offload else 2 * trained / (gpus if layout.zero >= 1 else 1),
    )


def gradient_bytes(trained: float, layout: Layout) -> float:
    """Offload moves what is split to the host as it comes; a bucket of them is on its way at any time."""
    split = trained if layout.zero < 2 else 0.0 if layout.offload else trained / layout.gpus
    return split + (min(trained, BUCKET) if layout.zero else 0.0)


def sampling_parts(shape: Shape, tune: Tune, work: Workload, layout: Layout, state: State) -> Parts:
    """Gradients of the step before are still there: they are overwritten, not freed.

    vLLM inside the process has weights and cache of its own in its share of a GPU, which is counted where one is known.
    """
    if work.vllm_share:
        return gathered_parts(shape, tune, work, layout, state)
    return Parts(
        weights=state.weights + gathered(shape, tune, work, layout) + rollout_copies(shape, tune, work, layout),
        gradients=state.gradients,
        optimizer=state.optimizer,
        logits=work.at_once * shape.vocabulary * FLOAT * ARRAYS_DRAWN,
        kv_cache=cache_bytes(shape, work, layout),
    )


def gathered_parts(shape: Shape, tune: Tune, work: Workload, layout: Layout, state: State) -> Parts:
    """While weights are whole: to be measured, evaluated and saved, whoever samples."""
    return Parts(state.weights + gathered(shape, tune, work, layout), state.gradients, state.optimizer)


def gathered(shape: Shape, tune: Tune, work: Workload, layout: Layout) -> float:
    """All weights, which ZeRO 3 fetches at once (`rltk.distributed.zero`): bytes beside this process's part."""
    return sum(role.held for role in roles(shape, tune, work).values()) if layout.zero >= 3 else 0.0


def training_parts(shape: Shape, tune: Tune, work: Workload, layout: Layout, state: State) -> Parts:
    """What a layer's backward pass needs beside what is kept comes after the head's, so only the larger counts."""
    batch = work.micro_batch(shape.heads, can_pack=layout.is_cpu)
    found = activations(shape, tune, batch, work.number_size, checkpointing=work.has_checkpointing)
    logits = head_bytes(shape, tune, batch, work, layout)
    return Parts(
        weights=state.weights + beside_weights(shape, tune, work, layout),
        gradients=state.gradients,
        optimizer=state.optimizer,
        activations=found.kept + max(0.0, found.working - logits),
        logits=logits,
    )


def head_bytes(shape: Shape, tune: Tune, batch: MicroBatch, work: Workload, layout: Layout) -> float:
    match work.head:
        case "chunks":
            return logits_bytes(shape, batch.scored)
        case "fused":
            return fused_bytes(shape, tune, batch, work.number_size, on_cpu=layout.is_cpu)
        case "none":
            return 0.0


def beside_weights(shape: Shape, tune: Tune, work: Workload, layout: Layout) -> float:
    """Copies while training: those of autocast, and an adapter's before it moved. Under ZeRO 3 one layer is whole, and
    no adapter is kept."""
    if layout.zero < 3:
        return training_copies(shape, tune, work) + (earlier_copies(shape, tune, work) if layout.is_cpu else 0.0)
    largest = max(shape.embedding, shape.linear // shape.layers)
    return float((FLOAT + work.number_size) * largest)


def earlier_copies(shape: Shape, tune: Tune, work: Workload) -> float:
    """What trains, before this step and before the last three, in the host's memory: a stale sampler is known by it."""
    is_kept = work.is_sampled and not isinstance(tune, Full)
    return 4.0 * FLOAT * trained_parameters(shape, tune, work) if is_kept else 0.0


def training_copies(shape: Shape, tune: Tune, work: Workload) -> float:
    """What autocast keeps of float32 weights from the forward to the backward pass; one matrix out of its four bits."""
    unpacked = 0.0
    if work.is_quantized and not isinstance(tune, Full):
        unpacked = (FLOAT + work.number_size) * float(max(m.size for m in shape.matrices))
    if not work.is_bfloat16:
        return unpacked
    if isinstance(tune, Full):
        return 2.0 * (shape.linear + shape.embedding)
    return unpacked + (2.0 * shape.embedding if shape.is_tied else 0.0)


def rollout_copies(shape: Shape, tune: Tune, work: Workload, layout: Layout) -> float:
    """Weights cast once a rollout; on CPUs small matrices that read one input are also joined."""
    copies = training_copies(shape, tune, work)
    if not isinstance(tune, Full):
        copies += FLOAT * adapter_parameters(shape, tune) / 2  # the scaled half
    is_joined = not work.is_quantized if not isinstance(tune, Full) else not work.is_bfloat16
    if layout.is_cpu and is_joined:
        joined = [m for m in shape.matrices if m.name in SIBLINGS and m.size <= SMALL_MATRIX]
        copies += work.number_size * sum(m.size * m.times for m in joined)
    return copies


def cache_bytes(shape: Shape, work: Workload, layout: Layout) -> float:
    """Keys and values of the prompts, once for each group, and of the completions, whose room doubles as it fills."""
    size = FLOAT if layout.is_cpu else work.number_size
    a_token = 2 * shape.layers * shape.key_heads * shape.head_size * size
    columns = FIRST_COLUMNS
    while columns < work.lengths.completion:
        columns *= 2
    prompts = ceil(work.at_once / work.group)
    growing = work.at_once * columns * a_token / shape.layers  # one layer's old beside its new
    return a_token * (prompts * work.lengths.prompt + work.at_once * columns) + growing
