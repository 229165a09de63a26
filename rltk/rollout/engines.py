"""Which engine samples."""

import torch
from torch import nn

from rltk.rollout.generate import GenerateSampler
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampler


def make_sampler(
    engine: str, model: nn.Module, *, stops: tuple[int, ...], pad: int, batch: int, dtype: torch.dtype
) -> Sampler:
    if engine == "generate":
        return GenerateSampler(model, stops=stops, pad=pad, batch=batch, dtype=dtype)
    return NativeSampler(model, stops=stops, batch=batch, dtype=dtype)
