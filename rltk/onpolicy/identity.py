"""Who sampled? A check, every step, that it was the policy that trains.

Rollouts from the base model, from an adapter of some steps ago or from an adapter applied twice are the commonest
silent failure of reinforcement learning with LoRA: losses stay finite and nothing is learned. Each shows as a KL
divergence between sampler and trainer that precision does not explain, and each is named by what explains it instead.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from rltk.errors import UserError
from rltk.models.adapters import adapter_off, adapter_scaled
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner

PROBES = 8
"""Completions that are scored to find out who sampled."""
EXPLAINED = {torch.bfloat16: 1e-2, torch.float32: 1e-4}
"""KL (nats a token) that rounding explains, by compute type; 0.01 is where training is known to stay stable."""
IMPOSSIBLE = 0.2
"""KL above which no arithmetic is an excuse, whoever sampled."""
SERVERS = "look whether all of rollout.servers serve model.path, with its own weights"


def check_sampler(
    learner: Learner, episodes: Sequence[Episode], step: int, mismatch: float, *, engine: str = "auto"
) -> None:
    """Raises `UserError` if the completions of `step` (from 1) were not sampled by the policy that trains.

    `mismatch` is the KL divergence that training found; where nothing was trained it is nan, and measured here.
    `engine` is the recipe's.
    """
    whole = [episode for episode in episodes if not episode.rollout.is_broken and len(episode.tokens_T)]
    probes = whole[:: max(1, len(whole) // PROBES)][:PROBES]
    found = learner.mismatch(probes) if math.isnan(mismatch) else mismatch
    if found <= EXPLAINED[learner.forward.dtype]:
        return
    suspects = dict(mismatch_of_suspects(learner, probes))
    likeliest = min(suspects, key=lambda name: suspects[name], default=None)
    said = f"the completions of step {step} were not sampled by the policy that trains (KL {found:.3g} nats a token)"
    if likeliest is not None and suspects[likeliest] < found / 3:
        raise UserError(f"{said}: they come from {likeliest} (KL {suspects[likeliest]:.3g}).")
    if found > IMPOSSIBLE:
        remedy = SERVERS if engine == "vllm" else "try rollout.engine=generate"
        raise UserError(f"{said}, and rounding does not explain it; {remedy}.")


def mismatch_of_suspects(learner: Learner, probes: Sequence[Episode]) -> Iterator[tuple[str, float]]:
    if not learner.has_adapter:
        return
    with adapter_off(learner.model):
        yield "the base model without its adapter", learner.mismatch(probes)
    with adapter_scaled(learner.model, 2.0):
        yield "the adapter applied twice", learner.mismatch(probes)
    if learner.stale is not None:
        with weights_swapped(learner.trained, learner.stale):
            yield "a stale adapter, from before the last update", learner.mismatch(probes)


@contextmanager
def weights_swapped(weights: Sequence[nn.Parameter], others: Sequence[torch.Tensor]) -> Iterator[None]:
    now = [weight.detach().clone() for weight in weights]
    copy_into(weights, others)
    try:
        yield
    finally:
        copy_into(weights, now)


@torch.no_grad()
def copy_into(weights: Sequence[nn.Parameter], values: Sequence[torch.Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
