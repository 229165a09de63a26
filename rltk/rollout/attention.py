"""Attention of one decode step when completions of one prompt share its keys and values.

Registered with transformers as `rltk_decode`, attention and mask, so it serves any model whose attention goes through
the `AttentionInterface`. A row attends in two products, to its prompt's keys (read once for the whole group) and to its
own suffix, joined in one softmax.

Shapes: P prompts, G rows a prompt, B rows still decoded (at most P * G), K key heads, R query heads a key head,
L prompt tokens (padded on the right), N suffix tokens, X = L + N, D head size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache

from rltk.models.modes import refuse_unknown

NAME = "rltk_decode"


@dataclass
class Prefix:
    """Keys and values of the prompts, a pair a layer, and which positions hold a token."""

    keys: list[Tensor]
    """[P, K, D, L] each: transposed for the product."""
    values: list[Tensor]
    """[P, K, L, D] each."""
    lengths_P: Tensor
    is_token_PL: Tensor


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


def decode_mask(*, mask_function: Callable[..., Tensor], **_: object) -> Tensor:
    """What to add to the scores [B, 1, 1, X]: 0 where a row may look, minus infinity elsewhere.

    `mask_function(row, head, query position, key position)` is the model's own, so that windows and chunks are its too.
    """
    state = ACTIVE.get()
    prefix, prompt_B = state.prefix, state.prompt_of_row()
    row_B1, lengths_B1 = torch.arange(len(prompt_B), device=prompt_B.device)[:, None], prefix.lengths_P[prompt_B, None]
    at_L = torch.arange(prefix.is_token_PL.shape[1], device=prompt_B.device)
    at_BN = lengths_B1 + torch.arange(state.suffix.length + 1, device=prompt_B.device)
    key_BX = torch.cat([at_L.expand(len(prompt_B), -1), at_BN], dim=1)
    is_token_BX = torch.cat([prefix.is_token_PL[prompt_B], torch.ones_like(at_BN, dtype=torch.bool)], dim=1)
    may_look_BX = mask_function(row_B1, torch.zeros_like(row_B1), at_BN[:, -1:], key_BX) & is_token_BX
    mask_BX = torch.zeros(key_BX.shape, dtype=prefix.keys[0].dtype, device=prompt_B.device)
    return mask_BX.masked_fill(~may_look_BX, -torch.inf)[:, None, None]


def grouped_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """`query` [B, K * R, 1, D], `key` and `value` [B, K, N, D] as `Suffix.update` returned them: [B, 1, K * R, D].

    `s_aux` [K * R] are gpt-oss's attention sinks: a score of each head's own that takes weight and gives nothing.
    """
    refuse_unknown(others)
    state, layer = ACTIVE.get(), module.layer_idx
    (rows, heads, _one, depth), key_heads = query.shape, key.shape[1]
    scale = depth**-0.5 if scaling is None else scaling
    query_BKRD = query.view(rows, key_heads, heads // key_heads, depth).to(key.dtype) * scale
    # Autocast would cast keys and values anew at every step.
    with torch.autocast(query.device.type, enabled=False):
        to_prompt = from_prompt(state, query_BKRD, state.prefix.keys[layer])
        scores_BKRX = torch.cat([to_prompt, query_BKRD @ key.transpose(2, 3)], dim=-1)
        if softcap is not None:
            scores_BKRX = softcap * torch.tanh(scores_BKRX / softcap)
        if attention_mask is None or attention_mask.shape != (rows, 1, 1, scores_BKRX.shape[-1]):
            raise ValueError("the model makes its attention mask itself")
        scores_BKRX = (scores_BKRX + attention_mask).float()
        weights = softmax(scores_BKRX, s_aux).to(value.dtype)
        weights_BKRL, weights_BKRN = weights.split([to_prompt.shape[-1], key.shape[2]], dim=-1)
        out_BKRD = from_prompt(state, weights_BKRL, state.prefix.values[layer]) + weights_BKRN @ value
    return out_BKRD.reshape(rows, 1, heads, -1).to(query.dtype), None


def softmax(scores_BKRX: Tensor, sinks: Tensor | None) -> Tensor:
    """Weights of the keys; with sinks they add up to less than 1."""
    if sinks is None:
        return scores_BKRX.softmax(-1)
    sinks_BKR1 = sinks.float().view(scores_BKRX.shape[1:3]).expand(scores_BKRX.shape[:3])[..., None]
    return torch.cat([scores_BKRX, sinks_BKR1], dim=-1).softmax(-1)[..., :-1]


def from_prompt(state: Decoding, rows_BKRX: Tensor, shared_PKXY: Tensor) -> Tensor:
    """Each row times the matrix its prompt shares, [B, K, R, Y]: one product a prompt for the whole group."""
    rows_PGKRX = state.spread(rows_BKRX)
    prompts, group, key_heads, repeats, _ = rows_PGKRX.shape
    product = rows_PGKRX.transpose(1, 2).reshape(prompts, key_heads, group * repeats, -1) @ shared_PKXY
    return state.collect(product.view(prompts, key_heads, group, repeats, -1).transpose(1, 2))


AttentionInterface.register(NAME, grouped_attention)
AttentionMaskInterface.register(NAME, decode_mask)
