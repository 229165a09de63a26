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
    seen_PGX: Tensor
    """What a completion sees: its prompt and itself."""
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
    completion_PGT = slots.spread(place_BT)
    layout = Layout(
        ids_1N=torch.cat([*prompts, *completions])[None],
        positions_1N=torch.cat([at_PL[is_prompt_PL], position_BT[is_token_BT]])[None],
        prompt_PL=prompt_PL,
        is_prompt_PL=is_prompt_PL,
        completion_PGT=completion_PGT,
        is_completion_PGT=slots.spread(is_token_BT),
        seen_PGX=torch.cat([prompt_PL[:, None].expand(-1, completion_PGT.shape[1], -1), completion_PGT], dim=2),
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
    longest, tokens = layout.prompt_PL.shape[1], layout.completion_PGT.shape[2]
    if attention_mask is None or attention_mask.shape[1:] != (longest + tokens, longest + tokens):
        raise ValueError("the model makes its attention mask itself")
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    arguments = (query[0] * scale, key[0], value[0], softcap, dropout)
    # Autocast would take the softmax through float32 copies; within it is in float32 anyway.
    with torch.autocast(query.device.type, enabled=False):
        prompt_hidden, own_hidden = attention_mask[:, None, :longest, :longest], attention_mask[:, None, longest:]
        of_prompts = attend(layout.prompt_PL[:, None], layout.prompt_PL[:, None], prompt_hidden, *arguments)
        of_completions = attend(layout.completion_PGT, layout.seen_PGX, own_hidden, *arguments)
    out = torch.cat([keep(of_prompts[:, 0], layout.is_prompt_PL), keep(of_completions, layout.is_completion_PGT)])
    return out[None].to(query.dtype), None


def attend(
    query_PGT: Tensor,
    key_PGX: Tensor,
    hidden_PGTX: Tensor,
    query_HND: Tensor,
    key_KND: Tensor,
    value_KND: Tensor,
    softcap: float | None,
    dropout: float,
) -> Tensor:
    """What the tokens at the places `query_PGT` gather from those at `key_PGX`, [P, G, T, K * R, D].

    Rows are gathered in the order in which the products want them, so that nothing is copied in between.
    """
    (prompts, group, tokens), (key_heads, _, depth) = query_PGT.shape, key_KND.shape
    repeats = len(query_HND) // key_heads
    query_BTD = gather(query_HND.to(value_KND.dtype), query_PGT, repeats).view(-1, repeats * tokens, depth)
    key_BXD, value_BXD = (
        gather(rows.to(value_KND.dtype), key_PGX, 1).view(len(query_BTD), -1, depth) for rows in (key_KND, value_KND)
    )
    scores = capped(query_BTD @ key_BXD.transpose(1, 2), softcap)
    by_head = scores.view(key_heads, prompts, group, repeats, tokens, -1)
    weights = by_head.masked_fill(hidden_PGTX[:, :, None], -torch.inf).softmax(-1).view_as(scores)
    out = nn.functional.dropout(weights, dropout) @ value_BXD
    return out.view(key_heads, prompts, group, repeats, tokens, depth).permute(1, 2, 4, 0, 3, 5).flatten(3, 4)


def gather(rows_HND: Tensor, place_PGT: Tensor, repeats: int) -> Tensor:
    """[K, P, G, R, T, D], the rows of H = K * R heads at these places."""
    heads, _, depth = rows_HND.shape
    head_KR = torch.arange(heads, device=place_PGT.device).view(-1, 1, 1, repeats, 1)
    index = place_PGT[None, :, :, None] * heads + head_KR  # rows lie token by token, each with all heads
    rows = rows_HND.transpose(0, 1).reshape(-1, depth)
    return rows.index_select(0, index.flatten()).view(*index.shape, depth)


def keep(padded: Tensor, is_kept: Tensor) -> Tensor:
    """`padded[is_kept]`, by the operation whose backward pass is fast on CPUs."""
    return padded.flatten(0, is_kept.ndim - 1).index_select(0, is_kept.flatten().nonzero()[:, 0])


def capped(scores: Tensor, softcap: float | None) -> Tensor:
    """Gemma 2 squashes attention scores."""
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, packed_mask)
