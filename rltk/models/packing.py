"""Groups of completions in one forward pass: no padding in any layer, and each prompt computed once for its group.

All prompts, then all completions, stand in one row of N tokens. Everything but attention works token by token, so it
needs no other change; attention goes through `packed_attention`, registered with transformers' `AttentionInterface`,
where a completion sees its prompt and itself.

Shapes: N tokens in all, P prompts, G completions a prompt (the most there are), B completions, L prompt tokens and T
completion tokens (the most, padded on the right), X = L + T, S scored tokens, K key heads, R query heads a key head,
D head size.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

from rltk.models.modes import attending_through, refuse_unknown

NAME = "rltk_packed"


class Group(NamedTuple):
    prompt: Sequence[int]
    completions: Sequence[Tensor]
    """Token ids [T] of each."""


@dataclass
class Layout:
    """Where each token of the row belongs. Places are indices into the row; a padded one is 0 and masked."""

    ids_1N: Tensor
    positions_1N: Tensor
    prompt_PL: Tensor
    is_prompt_PL: Tensor
    completion_PGT: Tensor
    is_completion_PGT: Tensor
    predictor_S: Tensor
    """The token whose hidden state predicts each completion token: the one before it."""
    target_S: Tensor

    def attention_scores(self, heads: int) -> int:
        """How many attention scores a layer holds at once; they are not fused away, so they cost memory."""
        (prompts, group, tokens), longest = self.completion_PGT.shape, self.prompt_PL.shape[1]
        return prompts * heads * (longest**2 + group * tokens * (longest + tokens))


def pack(groups: Sequence[Group], device: torch.device) -> Layout:
    prompts = [torch.tensor(group.prompt) for group in groups]
    completions = [tokens_T for group in groups for tokens_T in group.completions]
    owner_B = torch.tensor([p for p, group in enumerate(groups) for _ in group.completions])
    starts = torch.tensor([len(part) for part in [*prompts, *completions]]).cumsum(0).roll(1)
    starts[0] = 0
    prompt_PL, is_prompt_PL, at_PL = places(prompts, starts[: len(prompts)])
    place_BT, is_token_BT, at_BT = places(completions, starts[len(prompts) :])
    last_of_prompt_P = starts[: len(prompts)] + is_prompt_PL.sum(1) - 1
    predictor_BT = torch.cat([last_of_prompt_P[owner_B][:, None], place_BT[:, :-1]], dim=1)
    position_BT = is_prompt_PL.sum(1)[owner_B][:, None] + at_BT
    slots = Slots(owner_B, len(groups))
    layout = Layout(
        ids_1N=torch.cat([*prompts, *completions])[None],
        positions_1N=torch.cat([at_PL[is_prompt_PL], position_BT[is_token_BT]])[None],
        prompt_PL=prompt_PL,
        is_prompt_PL=is_prompt_PL,
        completion_PGT=slots.spread(place_BT),
        is_completion_PGT=slots.spread(is_token_BT),
        predictor_S=predictor_BT[is_token_BT],
        target_S=torch.cat(completions),
    )
    for name, value in vars(layout).items():
        if isinstance(value, Tensor):
            setattr(layout, name, value.to(device))
    return layout


def places(parts: Sequence[Tensor], starts_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each part [B, T]: index of each token in the row (0 at padding), whether there is one, and its offset."""
    lengths_B = torch.tensor([len(part) for part in parts])
    offset_BT = torch.arange(int(lengths_B.max())).expand(len(parts), -1)
    is_token_BT = offset_BT < lengths_B[:, None]
    return (starts_B[:, None] + offset_BT) * is_token_BT, is_token_BT, offset_BT


class Slots:
    """Deals B completions of unevenly sized groups into P rows of G."""

    def __init__(self, owner_B: Tensor, prompts: int) -> None:
        sizes_P = torch.bincount(owner_B, minlength=prompts)
        first_P = sizes_P.cumsum(0) - sizes_P
        self.prompts, self.group = prompts, int(sizes_P.max())
        self.slot_B = owner_B * self.group + torch.arange(len(owner_B)) - first_P[owner_B]

    def spread(self, rows_BT: Tensor) -> Tensor:
        full = rows_BT.new_zeros(self.prompts * self.group, rows_BT.shape[1])
        return full.index_copy_(0, self.slot_B, rows_BT).view(self.prompts, self.group, -1)


def packed_mask(*, mask_function: Callable[..., Tensor], **_: object) -> Tensor:
    """[P, X, X], True where a query must not look at a key; both are a prompt's tokens and then one completion's.

    `mask_function(row, head, query position, key position)` is the model's own, so that windows and chunks are its too.
    """
    layout = Active.layout
    assert layout is not None
    (prompts, longest), tokens = layout.prompt_PL.shape, layout.completion_PGT.shape[2]
    device = layout.prompt_PL.device
    at_PL = torch.arange(longest, device=device).expand(prompts, -1)
    at_PT = layout.is_prompt_PL.sum(dim=1)[:, None] + torch.arange(tokens, device=device)
    at_PX, row_and_head = torch.cat([at_PL, at_PT], dim=1), torch.zeros((), dtype=torch.long, device=device)
    hidden_PXX = ~mask_function(row_and_head, row_and_head, at_PX[:, :, None], at_PX[:, None])
    # A completion's padding lies after all of its tokens; the prompt's lies before them.
    hidden_PXX[:, longest:, :longest] |= ~layout.is_prompt_PL[:, None]
    return hidden_PXX


class Active:
    """The layout in use. Not a context variable: the backward pass may recompute layers in a thread of its own."""

    layout: Layout | None = None


@contextmanager
def packed(model: nn.Module, layout: Layout) -> Iterator[None]:
    """Forward passes over `layout.ids_1N` attend by its groups within; the backward pass must end within, too."""
    Active.layout = layout
    try:
        with attending_through(model, NAME):
            yield
    finally:
        Active.layout = None


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    dropout: float = 0.0,
    **others: object,
) -> tuple[Tensor, None]:
    """`query` [1, K * R, N, D], `key` and `value` [1, K, N, D]: the output [1, N, K * R, D]."""
    refuse_unknown(others)
    layout = Active.layout
    assert layout is not None
    longest, (_, _, tokens) = layout.prompt_PL.shape[1], layout.completion_PGT.shape
    if attention_mask is None or attention_mask.shape[1:] != (longest + tokens, longest + tokens):
        raise ValueError("the model makes its attention mask itself")
    hidden_LL, hidden_TX = attention_mask[:, :longest, :longest], attention_mask[:, longest:]
    heads, key_heads, depth = query.shape[1], key.shape[1], query.shape[3]
    scale = depth**-0.5 if scaling is None else scaling
    query_NKRD = (query[0] * scale).transpose(0, 1).unflatten(1, (key_heads, heads // key_heads))
    key_NKD, value_NKD = key[0].transpose(0, 1), value[0].transpose(0, 1)

    prompt_query = take(query_NKRD, layout.prompt_PL).permute(0, 2, 3, 1, 4)  # [P, K, R, L, D]
    prompt_key = take(key_NKD, layout.prompt_PL).permute(0, 2, 3, 1)  # [P, K, D, L]
    prompt_value = take(value_NKD, layout.prompt_PL).transpose(1, 2)  # [P, K, L, D]
    scores = capped(prompt_query @ prompt_key[:, :, None], softcap)  # [P, K, R, L, L]
    weights = attention_weights(scores, hidden_LL[:, None, None], dropout, value)
    prompt_out = (weights @ prompt_value[:, :, None]).permute(0, 3, 1, 2, 4)  # [P, L, K, R, D]

    own_query = take(query_NKRD, layout.completion_PGT).permute(0, 3, 4, 1, 2, 5)  # [P, K, R, G, T, D]
    own_key = take(key_NKD, layout.completion_PGT).permute(0, 3, 1, 4, 2)  # [P, K, G, D, T]
    own_value = take(value_NKD, layout.completion_PGT).permute(0, 3, 1, 2, 4)  # [P, K, G, T, D]
    size = own_query.shape[2:5]
    to_prompt = (own_query.flatten(2, 4) @ prompt_key).unflatten(2, size)  # [P, K, R, G, T, L]: one product a prompt
    to_own = own_query @ own_key[:, :, None]  # [P, K, R, G, T, T]
    scores = capped(torch.cat([to_prompt, to_own], dim=-1), softcap)
    weights = attention_weights(scores, hidden_TX[:, None, None, None], dropout, value)
    on_prompt, on_own = weights.split([to_prompt.shape[-1], to_own.shape[-1]], dim=-1)
    own_out = (on_prompt.flatten(2, 4) @ prompt_value).unflatten(2, size) + on_own @ own_value[:, :, None]
    own_out = own_out.permute(0, 3, 4, 1, 2, 5)  # [P, G, T, K, R, D]

    out = torch.cat([keep(prompt_out, layout.is_prompt_PL), keep(own_out, layout.is_completion_PGT)])
    return out.reshape(1, -1, heads, depth).to(query.dtype), None


def take(rows: Tensor, places: Tensor) -> Tensor:
    """`rows[places]`, by the operation whose backward pass is fast on CPUs."""
    return rows.index_select(0, places.flatten()).unflatten(0, places.shape)


def keep(padded: Tensor, is_kept: Tensor) -> Tensor:
    """`padded[is_kept]`, likewise."""
    return padded.flatten(0, is_kept.ndim - 1).index_select(0, is_kept.flatten().nonzero()[:, 0])


def capped(scores: Tensor, softcap: float | None) -> Tensor:
    """Gemma 2 squashes attention scores."""
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


def attention_weights(scores: Tensor, hidden: Tensor, dropout: float, value: Tensor) -> Tensor:
    weights = scores.float().masked_fill(hidden, -torch.inf).softmax(-1)
    return nn.functional.dropout(weights, dropout).to(value.dtype)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, packed_mask)
