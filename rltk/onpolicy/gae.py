"""Token by token: rewards, advantages and returns of PPO, its value loss, and its KL coefficient; tensors in and out.

Shapes: B completions, T completion tokens (padded on the right, where the mask is False and everything else zero).
"""

from typing import NamedTuple

import torch
from torch import Tensor

GAIN, FURTHEST_ERROR = 0.1, 0.2
"""Gain of the KL controller and bound of its error (Ziegler et al. 2019, arXiv 1909.08593 section 2.2)."""
ROUNDING = 1e-6
"""Standard deviation, against the largest value, that rounding alone may leave of equal numbers."""


class Estimate(NamedTuple):
    advantages_BT: Tensor
    returns_BT: Tensor
    """What the critic should have said: advantages plus values."""


class ValueLoss(NamedTuple):
    loss: Tensor
    clipped: Tensor
    """Count of tokens whose value moved too far for the gradient to go on."""


def token_rewards(
    scores_B: Tensor, mask_BT: Tensor, kl_BT: Tensor | None, kl: float, within_BT: Tensor | None = None
) -> Tensor:
    """[B, T]: the score on a completion's last token, less `kl` times the log-ratio to the reference on every token.

    Of the score `within_BT` is due earlier, and the last token has the rest.
    """
    rewards_BT = torch.zeros_like(mask_BT, dtype=scores_B.dtype) if within_BT is None else within_BT
    last_B1 = mask_BT.sum(1, keepdim=True).long() - 1
    rest_B1 = (scores_B - rewards_BT.sum(1))[:, None]
    rewards_BT = rewards_BT.scatter_add(1, last_B1.clamp(min=0), rest_B1)
    if kl_BT is not None:
        rewards_BT = rewards_BT - kl * kl_BT
    return rewards_BT * mask_BT


def generalized_advantages(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> Estimate:
    """GAE (Schulman et al. 2015, arXiv 1506.02438 equation 16): sum over l of (gamma lam)^l delta_(t+l), with
    delta_t = r_t + gamma V_(t+1) - V_t. A value is that of the state before its token; after the last token, cut off or
    not, there is nothing.
    """
    values_BT, mask_BT = values_BT * mask_BT, mask_BT.to(values_BT.dtype)
    following_BT = torch.cat([values_BT[:, 1:], torch.zeros_like(values_BT[:, :1])], dim=1)
    delta_BT = rewards_BT + gamma * following_BT - values_BT
    advantages_BT, running_B = torch.zeros_like(values_BT), torch.zeros_like(values_BT[:, 0])
    for t in reversed(range(values_BT.shape[1])):
        running_B = (delta_BT[:, t] + gamma * lam * running_B) * mask_BT[:, t]
        advantages_BT[:, t] = running_B
    return Estimate(advantages_BT, advantages_BT + values_BT)


def whitened(values_BT: Tensor, mask_BT: Tensor, *, keep_mean: bool = False) -> Tensor:
    """To a standard deviation of 1 over all masked values, and unless `keep_mean` to a mean of 0; zero elsewhere.

    A single value, and values that are equal but for rounding, have no scale: they are only centred.
    """
    is_masked_BT = mask_BT.bool()
    chosen_N = values_BT[is_masked_BT]
    if not len(chosen_N):
        return torch.zeros_like(values_BT)
    mean = chosen_N.mean()
    is_flat = len(chosen_N) < 2 or bool(chosen_N.std() <= ROUNDING * chosen_N.abs().max())
    scale = 1.0 if is_flat else chosen_N.std() + 1e-8
    centred_BT = (values_BT - mean) / scale
    return (centred_BT + mean if keep_mean else centred_BT).masked_fill(~is_masked_BT, 0.0)


def value_loss(
    values_BT: Tensor, old_values_BT: Tensor, returns_BT: Tensor, weights_BT: Tensor, *, clip: float | None
) -> ValueLoss:
    """Half the squared error, weighted token by token; where a value left the old one by more than `clip`, the larger
    of that and the error at the bound, so that it is not pulled on (PPO's own implementation, as InstructGPT's)."""
    error_BT = (values_BT - returns_BT) ** 2
    if clip is None:
        return ValueLoss(0.5 * (error_BT * weights_BT).sum(), torch.zeros((), dtype=torch.long))
    bounded_BT = old_values_BT + (values_BT - old_values_BT).clamp(-clip, clip)
    bounded_error_BT = (bounded_BT - returns_BT) ** 2
    clipped = ((bounded_error_BT > error_BT) & (weights_BT > 0)).sum()
    return ValueLoss(0.5 * (torch.maximum(error_BT, bounded_error_BT) * weights_BT).sum(), clipped)


def explained_variance(values_N: Tensor, returns_N: Tensor) -> float:
    """1 for a critic that is right, 0 for one that says the mean, below 0 for a worse one; nan if returns are equal."""
    variance = returns_N.var(correction=0).item() if len(returns_N) else 0.0
    return 1 - (returns_N - values_N).var(correction=0).item() / variance if variance > 0 else float("nan")


def adapted_kl(kl: float, observed: float, target: float) -> float:
    """The next coefficient: higher when a completion's KL to the reference exceeds `target`, lower when it is below."""
    error = min(max(observed / target - 1, -FURTHEST_ERROR), FURTHEST_ERROR)
    return kl * (1 + GAIN * error)
