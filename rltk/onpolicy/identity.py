"""Who sampled? A check, every step, that it was the policy that trains.

Rollouts from the base model, from an adapter of some steps ago or from an adapter applied twice are the commonest
silent failure of reinforcement learning with LoRA: losses stay finite and nothing is learned. Each shows as a KL
divergence between sampler and trainer. One step of a stale adapter moves that less than rounding does on some machines,
so it is not its size that tells: a suspect is found out by being far closer to the completions than the policy is.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean, median

import torch
from torch import nn

from rltk.errors import UserError
from rltk.models.adapters import adapter_off, adapter_scaled
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.run.folder import Metrics

PROBES = 8
"""Completions that are scored to find out who sampled."""
FLOOR = {torch.bfloat16: 1e-4, torch.float32: 1e-6}
"""KL (nats a token) up to which nobody is suspected, by compute type; a faithful sampler on CPUs has up to half."""
EXPLAINED = {torch.bfloat16: 1e-2, torch.float32: 1e-4}
"""KL that rounding explains; 0.01 is where training is known to stay stable."""
IMPOSSIBLE = 0.2
"""KL above which no arithmetic is an excuse, whoever sampled."""
TELLING = 10
"""How many times closer than the policy who sampled is to a completion; half of the probes must say so, since in one of
them a single token may have been rounded to another expert."""
SERVERS = "look whether all of rollout.servers serve model.path, with its own weights"


def check_sampler(
    learner: Learner, episodes: Sequence[Episode], step: int, mismatch: float, *, engine: str = "auto"
) -> None:
    """Raises `UserError` if the completions of `step` (from 1) were not sampled by the policy that trains.

    Before the first update of a step. `mismatch` is the KL divergence that training found; where nothing was trained it
    is nan, and measured here. `engine` is the recipe's.
    """
    whole = [episode for episode in episodes if episode.is_whole]
    probes = whole[:: max(1, len(whole) // PROBES)][:PROBES]
    found = fmean(learner.mismatches(probes)) if math.isnan(mismatch) else mismatch
    if found <= FLOOR[learner.forward.dtype]:
        return
    said = f"the completions of step {step} were not sampled by the policy that trains (KL {found:.3g} nats a token)"
    policy, suspects = median(learner.mismatches(probes)), dict(mismatch_of_suspects(learner, probes))
    likeliest = min(suspects, key=lambda name: suspects[name], default=None)
    if likeliest is not None and suspects[likeliest] < policy / TELLING:
        raise UserError(f"{said}: they come from {likeliest} (KL {suspects[likeliest]:.3g}).")
    if found > IMPOSSIBLE:
        remedy = SERVERS if engine == "vllm" else "try rollout.engine=generate"
        raise UserError(f"{said}, and rounding does not explain it; {remedy}.")


def mismatch_of_suspects(learner: Learner, probes: Sequence[Episode]) -> Iterator[tuple[str, float]]:
    if not learner.has_adapter:
        return
    with adapter_off(learner.model):
        yield "the base model without its adapter", median(learner.mismatches(probes))
    with adapter_scaled(learner.model, 2.0):
        yield "the adapter applied twice", median(learner.mismatches(probes))
    for ago, weights in enumerate(learner.earlier, start=1):
        with weights_swapped(learner.trained, weights):
            steps = "the last update" if ago == 1 else f"the last {ago} steps' updates"
            yield f"a stale adapter, from before {steps}", median(learner.mismatches(probes))


def doubt(history: Sequence[Metrics], dtype: torch.dtype) -> str | None:
    """What to say of the last step of `history`, the first whose mismatch neither rounding nor a suspect explains.

    Rows that are read from a file have None for nan, where nothing was trained.
    """
    *before, last = ((row["rollout_mismatch_kl"] or 0.0) > EXPLAINED[dtype] for row in history)
    if not last or any(before):
        return None
    step, found = history[-1]["step"], history[-1]["rollout_mismatch_kl"]
    return (
        f"step {step}: KL {found:.3g} nats a token between what sampled and what trains, more than rounding explains; "
        "importance weights (algo.importance_cap) correct for it"
    )


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
