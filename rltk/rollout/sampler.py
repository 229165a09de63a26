"""What a sampler is: prompts in, completions with log-probabilities out.

Shapes: P prompts, G group (completions a prompt), T tokens of one completion.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Sampling(NamedTuple):
    """How tokens are drawn. `temperature` 0 is greedy; `top_k` 0, `top_p` 1 and `min_p` 0 leave the softmax whole."""

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


class Rollout(NamedTuple):
    """One completion. Its last token is a stop token unless it was truncated."""

    tokens_T: Tensor
    logprobs_T: Tensor
    """Of the policy's softmax at the sampling temperature (1 when greedy), before top-k, top-p and min-p: the
    distribution that trains."""
    is_truncated: bool
    is_broken: bool = False
    """The model's logits after these tokens were no numbers, so there was nothing to draw from."""


class Sampler(Protocol):
    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        """`group` completions of each prompt, in order. The same arguments and weights give the same tokens."""
        ...


class LocalSampler(Protocol):
    """A `Sampler` on the model of this process, which may have a part of the prompts only."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        group: int,
        sampling: Sampling,
        *,
        seed: int,
        places: Sequence[int] | None = None,
    ) -> list[list[Rollout]]:
        """`places` says where these prompts stand among all, since a completion's random numbers depend on the seed and
        on its place. None: they are all there are."""
        ...


def uniforms_at(places: Sequence[int], group: int, tokens: int, seed: int) -> Tensor:
    """[B, T], the random numbers of the completions of the prompts at these places."""
    rows_B = rows_of(places, group)
    return uniforms(int(rows_B.max()) + 1 if len(rows_B) else 0, tokens, seed)[rows_B]


def rows_of(prompts: Sequence[int], group: int) -> Tensor:
    """[B], the places of the completions of these prompts among all."""
    return (torch.tensor(prompts, dtype=torch.long)[:, None] * group + torch.arange(group)).flatten()


def uniforms(rows: int, tokens: int, seed: int) -> Tensor:
    """[B, T], a row's random numbers: its own, so that neither the batch nor who finishes first changes its tokens."""
    return torch.rand(rows, tokens, generator=torch.Generator().manual_seed(seed))
