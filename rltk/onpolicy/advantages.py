"""How much better a completion is than its group. Shapes: P prompts, G completions a prompt."""

from typing import Literal

import torch
from torch import Tensor

Scale = Literal["none", "group", "batch"]


def grpo_advantages(rewards_PG: Tensor, scale: Scale) -> Tensor:
    """Reward less the group's mean (GRPO, arXiv 2402.03300 section 4.1.2).

    `group` divides by the group's standard deviation, as published; `batch` by that of all rewards; `none` by
    nothing, as in Dr. GRPO (arXiv 2503.20783), where a group's weight does not depend on how hard its problem is.
    """
    centred_PG = exactly_centred(rewards_PG, rewards_PG - rewards_PG.mean(dim=1, keepdim=True))
    if scale == "none":
        return centred_PG
    std = rewards_PG.std(dim=1, keepdim=True) if scale == "group" else rewards_PG.std()
    return centred_PG / (std + 1e-4)


def rloo_advantages(rewards_PG: Tensor) -> Tensor:
    """Reward less the mean of the group's other rewards (RLOO, arXiv 2402.14740 equation 8)."""
    group = rewards_PG.shape[1]
    others_PG = (rewards_PG.sum(dim=1, keepdim=True) - rewards_PG) / (group - 1)
    return exactly_centred(rewards_PG, rewards_PG - others_PG)


def exactly_centred(rewards_PG: Tensor, centred_PG: Tensor) -> Tensor:
    """Zero where a group's rewards are equal: what rounding leaves there, a small std and Adam would make a step of."""
    return centred_PG.masked_fill(zero_variance(rewards_PG)[:, None], 0.0)


def zero_variance(rewards_PG: Tensor) -> Tensor:
    """[P], True where all rewards of a group are equal, so that it says nothing about what to do better."""
    return torch.all(rewards_PG == rewards_PG[:, :1], dim=1)
