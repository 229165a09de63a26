"""Attention of one decode step when completions of one prompt share its keys and values.

Registered with transformers as `rltk_decode`, so it serves any model whose attention goes through the
`AttentionInterface`. A row attends in two products, to its prompt's keys (read once for the whole group) and to its
own suffix, joined in one softmax.

Shapes: P prompts, G rows a prompt, B rows still decoded (at most P * G), K key heads, R query heads a key head,
L prompt tokens (padded on the right), N suffix tokens, D head size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache

NAME = "rltk_decode"


@dataclass
class Prefix:
    """Keys and values of the prompts, a pair a layer, and which positions hold a token."""

    keys: list[Tensor]
    """[P, K, D, L] each: transposed for the product."""
    values: list[Tensor]
    """[P, K, L, D] each."""
    lengths_P: Tensor
    hidden_PL: Tensor
    """0 at a token, minus infinity at padding; added to the scores."""


class Suffix(Cache):
    """Preallocated keys and values of the sampled tokens: the cache that the model's own code updates."""

    def __init__(self, prefix: Prefix, rows: int, tokens: int) -> None:
        self.layers = []  # transformers asks for it; this cache has no layer objects
        self.length = 0
        shapes = [(rows, values.shape[1], tokens, values.shape[3]) for values in prefix.values]
        self.keys = [values.new_empty(shape) for values, shape in zip(prefix.values, shapes, strict=True)]
        self.values = [values.new_empty(shape) for values, shape in zip(prefix.values, shapes, strict=True)]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        at, end = self.length, self.length + 1
        self.keys[layer_idx][:, :, at:end], self.values[layer_idx][:, :, at:end] = key_states, value_states
        return self.keys[layer_idx][:, :, :end], self.values[layer_idx][:, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drops all rows but these; only the filled part is copied."""
        for tensors in (self.keys, self.values):
            for layer, full in enumerate(tensors):
                kept = full.new_empty(len(rows), *full.shape[1:])
                kept[:, :, : self.length] = full[rows, :, : self.length]
                tensors[layer] = kept

    def get_seq_length(self, layer_idx: int = 0, *_: object, **__: object) -> int:
        return self.length

    def get_mask_sizes(self, *_: object, **__: object) -> tuple[int, int]:
        return self.length + 1, 0


@dataclass
class Decoding:
    """What the attention function needs and a model's code does not pass."""

    prefix: Prefix
    suffix: Suffix
    group: int
    slots_B: Tensor | None
    """Row b is completion slots_B[b] of P * G; None while all of them are there, in order."""

    def spread(self, rows: Tensor) -> Tensor:
        """[B, ...] to [P, G, ...], zeros where a completion has left."""
        prompts = len(self.prefix.lengths_P)
        if self.slots_B is None:
            return rows.view(prompts, self.group, *rows.shape[1:])
        full = rows.new_zeros(prompts * self.group, *rows.shape[1:])
        return full.index_copy_(0, self.slots_B, rows).view(prompts, self.group, *rows.shape[1:])

    def collect(self, full: Tensor) -> Tensor:
        """[P, G, ...] to [B, ...]."""
        rows = full.reshape(-1, *full.shape[2:])
        return rows if self.slots_B is None else rows[self.slots_B]

    def prompt_of_row(self) -> Tensor:
        """[B], which prompt each row continues."""
        rows = len(self.prefix.lengths_P) * self.group
        slots_B = torch.arange(rows, device=self.prefix.lengths_P.device) if self.slots_B is None else self.slots_B
        return slots_B // self.group


ACTIVE: ContextVar[Decoding] = ContextVar("decoding")


@contextmanager
def decoding(state: Decoding) -> Iterator[None]:
    token = ACTIVE.set(state)
    try:
        yield
    finally:
        ACTIVE.reset(token)


def grouped_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """`query` [B, K * R, 1, D], `key` and `value` [B, K, N, D] as `Suffix.update` returned them: [B, 1, K * R, D]."""
    state, layer = ACTIVE.get(), module.layer_idx
    (rows, heads, _one, depth), key_heads = query.shape, key.shape[1]
    scale = depth**-0.5 if scaling is None else scaling
    query_BKRD = query.view(rows, key_heads, heads // key_heads, depth).to(key.dtype) * scale

    scores_BKRL = from_prompt(state, query_BKRD, state.prefix.keys[layer])
    scores_BKRN = query_BKRD @ key.transpose(2, 3)
    if softcap is not None:
        scores_BKRL, scores_BKRN = (softcap * torch.tanh(scores / softcap) for scores in (scores_BKRL, scores_BKRN))
    mask_BL = state.prefix.hidden_PL[state.prompt_of_row()]
    scores_BKRL = scores_BKRL + mask_BL[:, None, None]
    if sliding_window is not None:
        out_of_prompt_BL, out_of_suffix_N = beyond_window(state, sliding_window)
        scores_BKRL = scores_BKRL.masked_fill(out_of_prompt_BL[:, None, None], -torch.inf)
        scores_BKRN = scores_BKRN.masked_fill(out_of_suffix_N, -torch.inf)

    weights = torch.cat([scores_BKRL, scores_BKRN], dim=-1).float().softmax(-1).to(value.dtype)
    weights_BKRL, weights_BKRN = weights.split([scores_BKRL.shape[-1], scores_BKRN.shape[-1]], dim=-1)
    out_BKRD = from_prompt(state, weights_BKRL, state.prefix.values[layer]) + weights_BKRN @ value
    return out_BKRD.reshape(rows, 1, heads, depth).to(query.dtype), None


def from_prompt(state: Decoding, rows_BKRX: Tensor, shared_PKXY: Tensor) -> Tensor:
    """Each row times the matrix its prompt shares, [B, K, R, Y]: one product a prompt for the whole group."""
    rows_PGKRX = state.spread(rows_BKRX)
    prompts, group, key_heads, repeats, _ = rows_PGKRX.shape
    product = rows_PGKRX.transpose(1, 2).reshape(prompts, key_heads, group * repeats, -1) @ shared_PKXY
    return state.collect(product.view(prompts, key_heads, group, repeats, -1).transpose(1, 2))


def beyond_window(state: Decoding, window: int) -> tuple[Tensor, Tensor]:
    """True where a key lies `window` positions or more before the query, in the prompt [B, L] and in the suffix [N]."""
    lengths_B = state.prefix.lengths_P[state.prompt_of_row()]
    positions_L = torch.arange(state.prefix.hidden_PL.shape[1], device=lengths_B.device)
    suffix_N = torch.arange(state.suffix.length + 1, device=lengths_B.device)
    current_B = lengths_B + state.suffix.length
    return positions_L <= current_B[:, None] - window, suffix_N <= state.suffix.length - window


AttentionInterface.register(NAME, grouped_attention)
