"""The clipped policy-gradient objective of PPO with the normalisations of GRPO, Dr. GRPO and DAPO.

Shapes: B completions, T completion tokens (padded on the right).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Normalisation = Literal["grpo", "dr_grpo", "dapo"]


class Batch(NamedTuple):
    """What the normalisations divide by: counts over all completions of one optimizer step."""

    completions: int
    tokens: int
    """Tokens that train; those of masked completions do not."""
    max_new_tokens: int


class Objective(NamedTuple):
    loss: Tensor
    kl: Tensor
    """Sum over trained tokens of the k3 estimate of KL(policy || reference); 0 without a reference."""
    clipped: Tensor
    """Count of trained tokens whose ratio was clipped where that cuts the gradient."""


def token_weights(mask_BT: Tensor, normalisation: Normalisation, batch: Batch) -> Tensor:
    """The weight of each token's loss, so that the sum over all micro-batches of a step is the step's loss.

    grpo: mean over completions of each one's mean (arXiv 2402.03300 equation 3), so a long completion's tokens weigh
    less. dapo: mean over tokens (arXiv 2503.14476 equation 8). dr_grpo: sum over tokens divided by a constant, so
    that length is not rewarded (arXiv 2503.20783 section 3.2).
    """
    match normalisation:
        case "grpo":
            return mask_BT / mask_BT.sum(dim=1, keepdim=True).clamp(min=1) / batch.completions
        case "dapo":
            return mask_BT / max(1, batch.tokens)
        case "dr_grpo":
            return mask_BT / (batch.completions * batch.max_new_tokens)


def policy_objective(
    *,
    logprobs_BT: Tensor,
    old_logprobs_BT: Tensor,
    advantages_BT: Tensor,
    importance_BT: Tensor,
    reference_logprobs_BT: Tensor | None,
    weights_BT: Tensor,
    clip_low: float,
    clip_high: float,
    kl: float,
) -> Objective:
    """PPO's clipped surrogate (arXiv 1707.06347 equation 7), weighted token by token, plus `kl` times the KL penalty.

    `advantages_BT` may be [B, 1], the same for all tokens of a completion. `old_logprobs_BT` are the policy's when the
    step began; `importance_BT` corrects for what the sampler computed differently then (`truncated_importance`). The KL
    term is k3 (Schulman, joschu.net/blog/kl-approx.html) times the ratio, without which its gradient is biased once the
    policy has moved (arXiv 2512.02556 section 3.1).
    """
    ratio_BT = (logprobs_BT - old_logprobs_BT).exp()
    clipped_BT = ratio_BT.clamp(1 - clip_low, 1 + clip_high)
    surrogate_BT = torch.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)
    loss_BT = -surrogate_BT * importance_BT
    is_trained_BT = weights_BT > 0
    kl_sum = logprobs_BT.new_zeros(())
    if reference_logprobs_BT is not None:
        k3_BT = k3(reference_logprobs_BT - logprobs_BT)
        loss_BT = loss_BT + kl * k3_BT * ratio_BT
        kl_sum = k3_BT.detach()[is_trained_BT].sum()
    is_clipped_BT = (clipped_BT * advantages_BT < ratio_BT * advantages_BT) & is_trained_BT
    return Objective((loss_BT * weights_BT).sum(), kl_sum, is_clipped_BT.sum())


def truncated_importance(old_logprobs_BT: Tensor, sampled_logprobs_BT: Tensor, cap: float | None) -> Tensor:
    """min(p_trainer / p_sampler, cap) of each token, constant in the gradient; ones where `cap` is None.

    The sampler's arithmetic differs from the trainer's (precision, kernels); uncorrected, that makes on-policy data
    slightly off-policy. Truncation bounds the variance (Ionides 2008; for language models Yao et al. 2025).
    """
    if cap is None:
        return torch.ones_like(old_logprobs_BT)
    return (old_logprobs_BT - sampled_logprobs_BT).exp().clamp(max=cap).detach()


def k3(log_ratio: Tensor) -> Tensor:
    """exp(x) - x - 1 for x = log(q / p): an unbiased, non-negative estimate of KL(p || q) from samples of p."""
    return log_ratio.exp() - log_ratio - 1
