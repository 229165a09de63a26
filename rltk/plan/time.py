"""Seconds of a step on a named GPU, by its stated speed, and what the run then costs.

Decoding reads every weight and each row's keys and values once a token, so bandwidth bounds it until products do;
training is bound by products.
"""

from typing import NamedTuple

from rltk.plan.count import Tokens, attention_flops, forward_flops, training_flops
from rltk.plan.devices import SAMPLING_EFFICIENCY, TRAINING_EFFICIENCY, Device
from rltk.plan.memory import Layout, cache_bytes
from rltk.plan.roles import critic_kind
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

    @property
    def total(self) -> float:
        return sum(self)


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
    """On `layout.gpus` such GPUs, which share the sequences."""
    flops = step_flops(shape, tune, work, can_pack=layout.is_cpu)
    reached = device.flops * TRAINING_EFFICIENCY * layout.gpus
    return StepSeconds(sampling_seconds(shape, tune, work, device, layout), (flops.scoring + flops.training) / reached)


def sampling_seconds(shape: Shape, tune: Tune, work: Workload, device: Device, layout: Layout) -> float:
    if not work.is_sampled:
        return 0.0
    rounds = -(-work.sequences // work.at_once)
    weights = work.number_size * min(shape.linear + shape.embedding, shape.active_parameters * work.at_once)
    # The cache is half full on average.
    moved = rounds * work.lengths.completion * (weights + cache_bytes(shape, work, layout) / 2 / layout.gpus)
    computed = sampling_flops(shape, tune, work) / layout.gpus
    return max(moved / (device.bandwidth * SAMPLING_EFFICIENCY), computed / (device.flops * TRAINING_EFFICIENCY))
