"""Seconds of a step on a named GPU, by its stated speed, and what the run then costs.

Decoding reads every weight and each row's keys and values once a token, so bandwidth bounds it until products do;
training is bound by products.
"""

from typing import NamedTuple

from rltk.plan.count import Tokens, attention_flops, forward_flops, training_flops
from rltk.plan.devices import (
    BETWEEN_NODES,
    LINK_EFFICIENCY,
    SAMPLING_EFFICIENCY,
    TO_HOST,
    TRAINING_EFFICIENCY,
    Device,
)
from rltk.plan.memory import FLOAT, Layout, cache_bytes
from rltk.plan.roles import critic_kind, roles, trained_parameters
from rltk.plan.shape import Shape
from rltk.plan.workload import Tune, Workload


class StepFlops(NamedTuple):
    sampling: float
    scoring: float
    """Forward passes without gradient."""
    training: float

    @property
    def total(self) -> float:
        return sum(self)


class StepSeconds(NamedTuple):
    sampling: float
    training: float
    communication: float = 0.0
    """Beside the training, which hides it as far as it is the shorter."""

    @property
    def total(self) -> float:
        return self.sampling + max(self.training, self.communication)


def flops_a_token(shape: Shape, tune: Tune, *, checkpointing: bool) -> float:
    """Of training on one token that goes through layers and head: products with weights alone, without attention."""
    once = Tokens(1, 1)
    again = forward_flops(shape, Tokens(1, 0), tune) if checkpointing else 0.0
    return training_flops(shape, tune, once) + again


def step_flops(shape: Shape, tune: Tune, work: Workload, *, can_pack: bool) -> StepFlops:
    micro = work.micro_batch(shape.heads, can_pack=can_pack)
    times = work.sequences / micro.sequences
    tokens, pairs = Tokens(times * micro.tokens, times * micro.scored), times * micro.pairs
    policy = Passes.of(shape, tune, work, tokens, pairs)
    critic = critic_passes(shape, tune, work, tokens._replace(scored=0), pairs)
    scoring = work.scores_before * policy.forward + critic.forward + reward_flops(shape, work)
    return StepFlops(sampling_flops(shape, tune, work), scoring, work.passes * (policy.training + critic.training))


class Passes(NamedTuple):
    """FLOPs of all tokens of a step, going through a model once."""

    forward: float
    """Without gradient."""
    training: float
    """Forward and backward."""

    @classmethod
    def of(cls, shape: Shape, tune: Tune, work: Workload, tokens: Tokens, pairs: float) -> "Passes":
        forward = forward_flops(shape, tokens, tune) + attention_flops(shape, pairs, trains=False)
        again = forward if work.has_checkpointing else 0.0
        once = training_flops(shape, tune, tokens) + attention_flops(shape, pairs, trains=True)
        return cls(forward, once + again)


def critic_passes(shape: Shape, tune: Tune, work: Workload, tokens: Tokens, pairs: float) -> Passes:
    """A head on the policy's trunk takes a pass of its own to value what was sampled, and none to train."""
    kind = critic_kind(work, tune)
    if kind is None:
        return Passes(0.0, 0.0)
    passes = Passes.of(shape, tune, work, tokens, pairs)
    return passes._replace(training=0.0) if kind == "head" else passes


def reward_flops(shape: Shape, work: Workload) -> float:
    """Every completion is read once with its prompt by each reward model."""
    tokens = work.sequences * work.lengths.total
    on_base = forward_flops(shape, Tokens(tokens, 0)) + attention_flops(
        shape, work.sequences * work.lengths.total**2, trains=False
    )
    return sum(on_base if reward.model is None else 2.0 * reward.model * tokens for reward in work.rewards)


def sampling_flops(shape: Shape, tune: Tune, work: Workload) -> float:
    """Each prompt is read once for its group; each completion token attends to its prompt and to those before it."""
    if not work.is_sampled:
        return 0.0
    prompt, completion = work.lengths
    read = Tokens(work.prompts * prompt + work.sequences * completion, work.sequences * completion)
    pairs = work.prompts * prompt**2 + work.sequences * completion * (prompt + completion / 2)
    return forward_flops(shape, read, tune) + attention_flops(shape, pairs, trains=False)


def step_seconds(shape: Shape, tune: Tune, work: Workload, device: Device, layout: Layout) -> StepSeconds:
    """On `layout.gpus` such GPUs, which share the sequences: all sample, then all train."""
    one = work.on_one_of(layout.gpus)
    return StepSeconds(
        sampling_seconds(shape, tune, one, device, layout),
        training_seconds(shape, tune, work, device, layout),
        communication_seconds(shape, tune, work, device, layout),
    )


def training_seconds(shape: Shape, tune: Tune, work: Workload, device: Device, layout: Layout) -> float:
    flops = step_flops(shape, tune, work.on_one_of(layout.gpus), can_pack=layout.is_cpu)
    return (flops.scoring + flops.training) / (device.flops * TRAINING_EFFICIENCY)


def communication_seconds(shape: Shape, tune: Tune, work: Workload, device: Device, layout: Layout) -> float:
    """Of gradients and weights between GPUs (Rajbhandari et al. 2020, section 7), and of offloaded state to the host.

    Stages 0 and 1 send gradients, or what they made of the weights, twice an update; 2 sends gradients every
    micro-batch; 3 also gathers all weights for every forward and every backward pass, and once to sample.
    """
    if layout.gpus == 1 and not layout.offload:
        return 0.0
    one = work.on_one_of(layout.gpus)
    trained = float(FLOAT * trained_parameters(shape, tune, work))
    weights = sum(role.held for role in roles(shape, tune, work).values())
    updates = one.updates * one.epochs
    batches = one.epochs * one.sequences / one.micro_batch(shape.heads, can_pack=False).sequences
    gathers = batches * (3 if work.has_checkpointing else 2) + work.scores_before * batches + work.is_sampled
    sent = {0: 2 * updates * trained, 1: 2 * updates * trained, 2: (batches + updates) * trained}
    moved = sent.get(layout.zero, batches * trained + gathers * weights) * (1 - 1 / layout.gpus)
    to_host = 2 * updates * trained / layout.gpus + (gathers * weights / layout.gpus if layout.zero >= 3 else 0.0)
    return moved / link_of(device, layout) + (to_host / TO_HOST if layout.offload else 0.0)


def link_of(device: Device, layout: Layout) -> float:
    """Bytes a second that a GPU exchanges with the others."""
    return (BETWEEN_NODES if layout.nodes > 1 else device.link) * LINK_EFFICIENCY


def sampling_seconds(shape: Shape, tune: Tune, work: Workload, device: Device, layout: Layout) -> float:
    """Of one GPU's share of a step."""
    if not work.is_sampled:
        return 0.0
    rounds = -(-work.sequences // work.at_once)
    weights = work.number_size * min(shape.linear + shape.embedding, shape.active_parameters * work.at_once)
    # The cache is half full on average.
    moved = rounds * work.lengths.completion * (weights + cache_bytes(shape, work, layout) / 2)
    computed = sampling_flops(shape, tune, work)
    return max(moved / (device.bandwidth * SAMPLING_EFFICIENCY), computed / (device.flops * TRAINING_EFFICIENCY))
