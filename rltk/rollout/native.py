"""The `native` engine: each prompt is read once for its whole group, and finished completions leave the batch.

It runs the model's own code through transformers' `Cache` and `AttentionInterface`; `attention.py` has the one part
that is rltk's. Shapes: P prompts, G completions a prompt, B rows still decoded, L prompt tokens (padded on the right),
T completion tokens, H hidden size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from rltk.models.modes import attending_through, computing_in, evaluating
from rltk.models.scoring import Head, last_hidden
from rltk.rollout.attention import NAME, Decoding, Prefix, Suffix, decoding
from rltk.rollout.draw import draw
from rltk.rollout.lean import lean_adapters
from rltk.rollout.sampler import Rollout, Sampling, uniforms

COMPACT_BELOW = 0.8
"""Finished rows are computed along until this share is left: copying the cache at every exit would cost more."""


class NativeSampler:
    """Samples from `model` as it is at the time of the call; about `batch` completions at once."""

    def __init__(self, model: nn.Module, *, stops: tuple[int, ...], batch: int, dtype: torch.dtype) -> None:
        self.model, self.batch, self.dtype = model, batch, dtype
        self.device = next(model.parameters()).device
        self.stops = torch.tensor(stops, device=self.device)

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        uniforms_BT = uniforms(len(prompts) * group, sampling.max_new_tokens, seed).to(self.device)
        size, rollouts = max(1, self.batch // group), list[Rollout]()
        with (
            evaluating(self.model),
            torch.no_grad(),
            computing_in(self.dtype, self.device),
            lean_adapters(self.model, self.dtype),
        ):
            for start in range(0, len(prompts), size):
                rows = slice(start * group, (start + size) * group)
                rollouts += self.complete(prompts[start : start + size], group, sampling, uniforms_BT[rows])
        return [rollouts[start : start + group] for start in range(0, len(rollouts), group)]

    def complete(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, uniforms_BT: Tensor
    ) -> list[Rollout]:
        """Completions of these prompts, all started together."""
        head = Head(self.model)
        prefix, hidden_PH = self.prefill(prompts)
        logits_BV = head(hidden_PH).repeat_interleave(group, dim=0)
        written = Written(len(prompts) * group, sampling.max_new_tokens, self.device)
        state = Decoding(prefix, Suffix(prefix, len(uniforms_BT), sampling.max_new_tokens), group, None)
        rows_B = torch.arange(len(uniforms_BT), device=self.device)
        with attending_through(self.model, NAME), decoding(state):
            for t in range(sampling.max_new_tokens):
                tokens_B, logprobs_B = draw(logits_BV, uniforms_BT[rows_B, t], sampling)
                written.add(t, rows_B, tokens_B, logprobs_B, torch.isin(tokens_B, self.stops))
                if t == sampling.max_new_tokens - 1:
                    break
                running = (~written.is_done_B[rows_B]).nonzero()[:, 0]
                if len(running) == 0:
                    break
                if len(running) < COMPACT_BELOW * len(rows_B):
                    rows_B, tokens_B = rows_B[running], tokens_B[running]
                    state.slots_B = rows_B
                    state.suffix.keep(running)
                logits_BV = self.step(head, state, tokens_B, prefix.lengths_P[state.prompt_of_row()] + t)
        return written.rollouts()

    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[Prefix, Tensor]:
        """Keys and values of all layers, and the hidden state that predicts the first token of each completion."""
        lengths_P = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        ids_PL = nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        cache = DynamicCache()
        hidden_PLH = last_hidden(self.model, ids_PL.to(self.device), past_key_values=cache)
        # CPUs multiply small float32 matrices faster than small bfloat16 ones.
        dtype = torch.float32 if self.device.type == "cpu" else self.dtype
        prefix = Prefix(
            keys=[layer.keys.to(dtype).transpose(2, 3).contiguous() for layer in attention_layers(cache)],
            values=[layer.values.to(dtype).contiguous() for layer in attention_layers(cache)],
            lengths_P=lengths_P,
            is_token_PL=torch.arange(ids_PL.shape[1], device=self.device) < lengths_P[:, None],
        )
        return prefix, hidden_PLH[torch.arange(len(prompts), device=self.device), lengths_P - 1]

    def step(self, head: Head, state: Decoding, tokens_B: Tensor, positions_B: Tensor) -> Tensor:
        """Logits of the next token, after reading this one."""
        hidden_B1H = last_hidden(
            self.model, tokens_B[:, None], position_ids=positions_B[:, None], past_key_values=state.suffix
        )
        state.suffix.length += 1
        return head(hidden_B1H[:, 0])


class Written:
    """Tokens and log-probabilities of all completions, as they grow."""

    def __init__(self, rows: int, tokens: int, device: torch.device) -> None:
        self.tokens_BT = torch.zeros(rows, tokens, dtype=torch.long, device=device)
        self.logprobs_BT = torch.zeros(rows, tokens, device=device)
        self.length_B = torch.zeros(rows, dtype=torch.long, device=device)
        self.is_done_B = torch.zeros(rows, dtype=torch.bool, device=device)

    def add(self, t: int, rows_B: Tensor, tokens_B: Tensor, logprobs_B: Tensor, is_stop_B: Tensor) -> None:
        """Token `t` of these rows; rows that are done already are computed along and their tokens ignored."""
        self.tokens_BT[rows_B, t], self.logprobs_BT[rows_B, t] = tokens_B, logprobs_B
        self.length_B[rows_B] += (~self.is_done_B[rows_B]).long()
        self.is_done_B[rows_B] |= is_stop_B

    def rollouts(self) -> list[Rollout]:
        columns = (self.tokens_BT.cpu(), self.logprobs_BT.cpu(), self.length_B.tolist(), self.is_done_B.tolist())
        return [
            Rollout(tokens_T[:length].clone(), logprobs_T[:length].clone(), is_truncated=not is_done)
            for tokens_T, logprobs_T, length, is_done in zip(*columns, strict=True)
        ]


def attention_layers(cache: DynamicCache) -> list[Any]:
    """The cache's layers; transformers types them as ones that may hold no keys."""
    return list(cache.layers)
