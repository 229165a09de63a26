"""Drawing tokens from logits. Shapes: B sequences, V vocabulary."""

from typing import NamedTuple

import torch
from torch import Tensor

from rltk.rollout.sampler import Sampling


class Draw(NamedTuple):
    tokens_B: Tensor
    logprobs_B: Tensor
    """Under the whole softmax at the sampling temperature."""


def draw(logits_BV: Tensor, uniforms_B: Tensor, sampling: Sampling) -> Draw:
    """One token a row, by inverting the cumulative distribution at `uniforms_B`, which lie in [0, 1).

    A row's token is a function of its own logits and its own uniform number, whoever else is in the batch.
    """
    logprobs_BV = logprobs_of(logits_BV, sampling)
    if sampling.temperature == 0:
        tokens_B = logits_BV.argmax(-1)
    else:
        cumulative_BV = truncate(logprobs_BV.exp(), sampling).cumsum(-1)
        target_B1 = uniforms_B[:, None] * cumulative_BV[:, -1:]
        found_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True)
        tokens_B = found_B1[:, 0].clamp(max=logits_BV.shape[-1] - 1)
    return Draw(tokens_B, logprobs_BV.gather(1, tokens_B[:, None])[:, 0])


def logprobs_of(logits_BV: Tensor, sampling: Sampling) -> Tensor:
    """Of the whole softmax at the sampling temperature, 1 where it is greedy: under which training compares."""
    return (logits_BV / (sampling.temperature or 1.0)).log_softmax(-1)


def truncate(probabilities_BV: Tensor, sampling: Sampling) -> Tensor:
    """Zero where top-k, min-p or top-p (Holtzman et al. 2019, arXiv 1904.09751) rule a token out; not renormalized."""
    kept_BV = probabilities_BV
    if 0 < sampling.top_k < probabilities_BV.shape[-1]:
        least_B1 = probabilities_BV.topk(sampling.top_k, dim=-1).values[:, -1:]
        kept_BV = kept_BV.masked_fill(probabilities_BV < least_B1, 0)
    if sampling.min_p > 0:
        least_B1 = sampling.min_p * probabilities_BV.amax(dim=-1, keepdim=True)
        kept_BV = kept_BV.masked_fill(probabilities_BV < least_B1, 0)
    if sampling.top_p < 1:
        ordered_BV, order_BV = kept_BV.sort(dim=-1, descending=True)
        ordered_BV = ordered_BV / ordered_BV.sum(dim=-1, keepdim=True)
        before_BV = ordered_BV.cumsum(-1) - ordered_BV
        out_BV = torch.zeros_like(kept_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= sampling.top_p)
        kept_BV = kept_BV.masked_fill(out_BV, 0)
    return kept_BV
