"""How much better a completion is than its group. Shapes: P prompts, G completions a prompt.

A reward is nan where a completion could not be judged. Such a completion counts for nothing: its group's mean and
deviation are those of the others, and its own advantage is 0.
"""

from collections.abc import Callable, Sequence
from math import inf, nan
from typing import Literal

import torch
from torch import Tensor

from rltk.rewards.dense import Dense

Scale = Literal["none", "group", "batch"]


def grpo_advantages(rewards_PG: Tensor, scale: Scale) -> Tensor:
    """Reward less the group's mean (GRPO, arXiv 2402.03300 section 4.1.2).

    `group` divides by the group's standard deviation, as published; `batch` by that of all rewards; `none` by
    nothing, as in Dr. GRPO (arXiv 2503.20783), where a group's weight does not depend on how hard its problem is.
    """
    return less_the_mean(rewards_PG) / divisor(rewards_PG, scale)


def rloo_advantages(rewards_PG: Tensor) -> Tensor:
    """Reward less the mean of the group's other rewards (RLOO, arXiv 2402.14740 equation 8)."""
    judged_P1 = rewards_PG.isfinite().sum(dim=1, keepdim=True)
    others_PG = (rewards_PG.nansum(dim=1, keepdim=True) - rewards_PG) / (judged_P1 - 1)
    return exactly_centred(rewards_PG, rewards_PG - others_PG)


def less_the_mean(rewards_PG: Tensor) -> Tensor:
    return exactly_centred(rewards_PG, rewards_PG - rewards_PG.nanmean(dim=1, keepdim=True))


def divisor(rewards_PG: Tensor, scale: Scale) -> Tensor:
    """[P, 1], what GRPO divides by."""
    if scale == "none":
        return torch.ones(len(rewards_PG), 1)
    if scale == "batch":
        return (std_of_judged(rewards_PG) + 1e-4).expand(len(rewards_PG), 1)
    return torch.stack([std_of_judged(row_G) for row_G in rewards_PG])[:, None] + 1e-4


def advantages_to_go(
    due: Sequence[Dense], judged: Sequence[bool], lengths: Sequence[int], centre: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """[T] of each completion of a group: what is still due from a token on, less what the group had due from there on.

    The k-th reward of a completion is compared with the k-th of the others, 0 where there is none. So the baseline of a
    token depends on how many rewards came before it and on other completions, which leaves the gradient unbiased
    (Greensmith et al. 2004, JMLR 5, section 3), and a single reward at the end has the advantage that it has without
    this. `centre` takes that baseline off rewards [K, G].
    """
    rewards_KG = torch.zeros(max(map(len, due), default=0), len(due))
    for g, row in enumerate(due):
        rewards_KG[: len(row), g] = torch.tensor([one.reward for one in row])
        rewards_KG[:, g] = rewards_KG[:, g] if judged[g] else nan
    found = [torch.zeros(length) for length in lengths]
    for row, centred_K, at_T in zip(due, centre(rewards_KG).T, found, strict=True):
        if not len(at_T):
            continue
        tokens = [one.token for one in row] + [len(at_T) - 1] * (len(centred_K) - len(row))
        at_T.index_add_(0, torch.tensor(tokens, dtype=torch.long), centred_K)
    return [at_T.flip(0).cumsum(0).flip(0) for at_T in found]


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
