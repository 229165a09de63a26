"""Which engine samples: `native` where it gives the model's own log-probabilities, `generate` for every other model."""

import torch
from torch import nn

from rltk.errors import UserError
from rltk.models.scoring import make_rows, score
from rltk.rollout.generate import GenerateSampler
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import LocalSampler, Sampling

PROBE = ([1, 2, 3, 4], [2])
CLOSE = 1e-3
"""Nats by which float32 log-probabilities of the two may differ."""


def choose_engine(asked: str, model: nn.Module) -> str:
    """The engine for `rollout.engine`: `generate` for a model that `native` cannot run, unless native was demanded."""
    if asked in ("generate", "vllm"):
        return asked
    if runs_natively(model):
        return "native"
    if asked == "native":
        raise UserError(
            f"rollout.engine = native cannot run {type(model).__name__}; use auto, which takes generate for it."
        )
    return "generate"


def make_sampler(
    engine: str, model: nn.Module, *, stops: tuple[int, ...], pad: int, batch: int | None, dtype: torch.dtype
) -> LocalSampler:
    if engine == "generate":
        return GenerateSampler(model, stops=stops, pad=pad, batch=batch, dtype=dtype)
    return NativeSampler(model, stops=stops, batch=batch, dtype=dtype)


def runs_natively(model: nn.Module) -> bool:
    """Whether a few tokens sampled natively have the log-probabilities that a plain forward pass gives them."""
    sampler = NativeSampler(model, stops=(), batch=4, dtype=torch.float32)
    try:
        groups = sampler.sample(PROBE, 2, Sampling(max_new_tokens=3), seed=0)
    except (ValueError, TypeError, AttributeError, AssertionError, LookupError, RuntimeError):
        return False  # the model's code has no place for another cache or attention
    rollouts = [rollout for group in groups for rollout in group]
    rows = make_rows([prompt for prompt in PROBE for _ in range(2)], [rollout.tokens_T for rollout in rollouts])
    device = next(model.parameters()).device
    with torch.no_grad():
        expected_BT = score(model, rows.to(device), 1.0).logprobs_BT
    found_BT = torch.stack([rollout.logprobs_T for rollout in rollouts]).to(expected_BT)
    return torch.allclose(found_BT, expected_BT, atol=CLOSE)
