"""How much better a completion is than its group. Shapes: P prompts, G completions a prompt.

A reward is nan where a completion could not be judged. Such a completion counts for nothing: its group's mean and
deviation are those of the others, and its own advantage is 0.
"""

from math import inf
from typing import Literal

import torch
from torch import Tensor

Scale = Literal["none", "group", "batch"]


def grpo_advantages(rewards_PG: Tensor, scale: Scale) -> Tensor:
    """Reward less the group's mean (GRPO, arXiv 2402.03300 section 4.1.2).

    `group` divides by the group's standard deviation, as published; `batch` by that of all rewards; `none` by
    nothing, as in Dr. GRPO (arXiv 2503.20783), where a group's weight does not depend on how hard its problem is.
    """
    centred_PG = exactly_centred(rewards_PG, rewards_PG - rewards_PG.nanmean(dim=1, keepdim=True))
    if scale == "none":
        return centred_PG
    std = (
        torch.stack([std_of_judged(row_G) for row_G in rewards_PG])[:, None]
        if scale == "group"
        else std_of_judged(rewards_PG)
    )
    return centred_PG / (std + 1e-4)


def rloo_advantages(rewards_PG: Tensor) -> Tensor:
    """Reward less the mean of the group's other rewards (RLOO, arXiv 2402.14740 equation 8)."""
    judged_P1 = rewards_PG.isfinite().sum(dim=1, keepdim=True)
    others_PG = (rewards_PG.nansum(dim=1, keepdim=True) - rewards_PG) / (judged_P1 - 1)
    return exactly_centred(rewards_PG, rewards_PG - others_PG)


def exactly_centred(rewards_PG: Tensor, centred_PG: Tensor) -> Tensor:
    """Zero where a group's rewards are equal: what rounding leaves there, a small std and Adam would make a step of.

    And where there is no reward to be better with.
    """
    return centred_PG.masked_fill(zero_variance(rewards_PG)[:, None] | rewards_PG.isnan(), 0.0)


def zero_variance(rewards_PG: Tensor) -> Tensor:
    """[P], True where all rewards of a group are equal, so that it says nothing about what to do better."""
    is_unjudged_PG = rewards_PG.isnan()
    most_P = rewards_PG.masked_fill(is_unjudged_PG, -inf).amax(dim=1)
    return most_P <= rewards_PG.masked_fill(is_unjudged_PG, inf).amin(dim=1)


def std_of_judged(rewards: Tensor) -> Tensor:
    """0 where fewer than two were: there is no advantage to divide."""
    judged = rewards[rewards.isfinite()]
    return judged.std() if len(judged) > 1 else torch.zeros(())
