"""Attention of one decode step when completions of one prompt share its keys and values.

Registered with transformers as `rltk_decode`, attention and mask, so it serves any model whose attention goes through
the `AttentionInterface`. A row attends in two products, to its prompt's keys (read once for the whole group) and to its
own suffix, joined in one softmax.

Shapes: P prompts, G rows a prompt (at most), B rows still decoded, K key heads, R query heads a key head, L prompt
tokens (padded on the right), N suffix columns, C all columns there is room for, X = L + N, D head size.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import causal_mask_function

from rltk.models.modes import refuse_unknown
from rltk.rollout.cache import Prefix, Suffix
from rltk.rollout.graphs import CapturedStep

NAME = "rltk_decode"
SHRINK_BELOW = 0.5
"""Prompts without rows are kept until this share is left."""


class Decoding:
    """Who is decoded and what they attend to: what the attention function needs and a model's code does not pass."""

    def __init__(self, prefix: Prefix, group: int, *, is_static: bool = False) -> None:
        rows, device = len(prefix.lengths_P) * group, prefix.lengths_P.device
        self.prefix, self.suffix = prefix, Suffix(prefix, rows, is_static=is_static)
        self.prompt_B = torch.arange(rows, device=device) // group
        """Which prompt each row continues; ascending."""
        self.start_B = torch.zeros(rows, dtype=torch.long, device=device)
        """The column of each row's first token."""
        self.settle()

    def keep(self, rows: Tensor) -> None:
        """Drops all rows but these."""
        self.move(rows, entering=0)
        prompts, self.prompt_B = self.prompt_B.unique(return_inverse=True)
        if len(prompts) < SHRINK_BELOW * len(self.prefix.lengths_P):
            self.prefix = self.prefix.keep(prompts)
        else:
            self.prompt_B = prompts[self.prompt_B]
        self.settle()

    def join(self, prefix: Prefix, group: int) -> None:
        """Adds prompts, with a group of rows each."""
        entering, known = len(prefix.lengths_P) * group, len(self.prefix.lengths_P)
        everyone = torch.arange(len(self.prompt_B), device=self.prompt_B.device)
        self.move(everyone, entering=entering)
        new_B = known + torch.arange(entering, device=self.prompt_B.device) // group
        self.prefix, self.prompt_B = self.prefix.join(prefix), torch.cat([self.prompt_B, new_B])
        self.settle()

    def make_room(self) -> None:
        """For another column."""
        if self.suffix.length == self.suffix.capacity:
            self.move(torch.arange(len(self.prompt_B), device=self.prompt_B.device), entering=0)
            self.settle()

    def move(self, rows: Tensor, *, entering: int) -> None:
        """Keeps rows, and columns from the first that any of them uses."""
        suffix, start_B = self.suffix, self.start_B[rows]
        first = int(start_B.min()) if len(rows) else suffix.length
        is_full = 2 * (suffix.length - first) > suffix.capacity
        suffix.arrange(rows, first=first, entering=entering, columns=suffix.capacity * (2 if is_full else 1))
        entered_B = torch.full((entering,), suffix.length, device=start_B.device)
        self.prompt_B, self.start_B = self.prompt_B[rows], torch.cat([start_B - first, entered_B])

    def settle(self) -> None:
        """What follows from who is there."""
        prompts, rows = len(self.prefix.lengths_P), len(self.prompt_B)
        sizes_P = torch.bincount(self.prompt_B, minlength=prompts)
        rank_B = torch.arange(rows, device=sizes_P.device) - (sizes_P.cumsum(0) - sizes_P)[self.prompt_B]
        self.group = int(sizes_P.max())
        """Rows of the prompt that has most."""
        self.slot_B = self.prompt_B * self.group + rank_B
        """Row b is in place slot_B[b] of P * G."""
        self.known_places: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.lengths_B = self.prefix.lengths_P[self.prompt_B]
        column_C = torch.arange(self.suffix.capacity, device=sizes_P.device)
        self.is_there = torch.cat([self.prefix.is_token_PL[self.prompt_B], column_C >= self.start_B[:, None]], dim=1)
        """[B, L + C], whether a row has something in this place."""
        self.causal_mask = bias(self.is_there, self.prefix.keys[0].dtype)
        self.column_X = torch.cat([column_C.new_full((self.is_there.shape[1] - len(column_C),), -1), column_C])
        """The column of each place; -1 in the prompt."""
        self.captured: CapturedStep | None = None
        """A step of these rows as a CUDA graph."""

    def places(self, key_heads: int, repeats: int) -> tuple[Tensor, Tensor]:
        """Where to find what: the row for each place [P, K, G, R] (any row where nobody stands), and back [B, K, R]."""
        if (key_heads, repeats) not in self.known_places:
            device, prompts, heads = self.prompt_B.device, len(self.prefix.lengths_P), key_heads * repeats
            head_KR = torch.arange(heads, device=device).view(key_heads, repeats)
            row_PG = torch.zeros(prompts * self.group, dtype=torch.long, device=device)
            row_PG[self.slot_B] = torch.arange(len(self.slot_B), device=device)
            row_PKGR = row_PG.view(prompts, 1, self.group, 1) * heads + head_KR[:, None]
            place_PKGR = torch.arange(row_PKGR.numel(), device=device).view(row_PKGR.shape)
            place_BKR = place_PKGR.transpose(1, 2).reshape(-1, heads)[self.slot_B]
            self.known_places[key_heads, repeats] = (row_PKGR.flatten(), place_BKR.flatten())
        return self.known_places[key_heads, repeats]

    def key_positions(self) -> Tensor:
        """[B, X], where in its sequence each key stands."""
        device, longest = self.prompt_B.device, self.prefix.values[0].shape[2]
        at_L, at_N = torch.arange(longest, device=device), torch.arange(self.suffix.columns, device=device)
        at_BN = (self.lengths_B - self.start_B)[:, None] + at_N
        return torch.cat([at_L.expand(len(at_BN), -1), at_BN], dim=1)


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
    state, suffix = ACTIVE.get(), ACTIVE.get().suffix
    keys = state.prefix.values[0].shape[2] + suffix.columns
    is_to_come_X = state.column_X > suffix.column_1 if suffix.is_static else None
    if mask_function is causal_mask_function:
        mask_BX = state.causal_mask[:, :keys]
        return (mask_BX if is_to_come_X is None else mask_BX.masked_fill(is_to_come_X, -torch.inf))[:, None, None]
    at_BX = state.key_positions()
    row_B1 = torch.arange(len(at_BX), device=at_BX.device)[:, None]
    query_B1 = at_BX[:, -1:] if is_to_come_X is None else (state.lengths_B - state.start_B + suffix.column_1)[:, None]
    may_look_BX = mask_function(row_B1, torch.zeros_like(row_B1), query_B1, at_BX) & state.is_there[:, :keys]
    if is_to_come_X is not None:
        may_look_BX = may_look_BX & ~is_to_come_X
    return bias(may_look_BX, state.causal_mask.dtype)[:, None, None]


def bias(may_look: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(may_look.shape, dtype=dtype, device=may_look.device).masked_fill_(~may_look, -torch.inf)


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
        weights = softmax((scores_BKRX + attention_mask).float(), s_aux).to(value.dtype)
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
    _, key_heads, repeats, _ = rows_BKRX.shape
    prompts = len(shared_PKXY)
    row_of_place, place_of_row = state.places(key_heads, repeats)
    spread = rows_BKRX.flatten(0, 2).index_select(0, row_of_place)
    product_PKIY = spread.view(prompts, key_heads, state.group * repeats, -1) @ shared_PKXY
    return product_PKIY.flatten(0, 2).index_select(0, place_of_row).view(*rows_BKRX.shape[:3], -1)


AttentionInterface.register(NAME, grouped_attention)
AttentionMaskInterface.register(NAME, decode_mask)
