"""Keys and values while completions are sampled: those of the prompts, shared by a group, and each completion's own.

Shapes: P prompts, B rows still decoded, K key heads, D head size, L prompt tokens (padded on the right), C columns of
the suffix. All rows write the same column at the same time; a row that entered later begins at a later column.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache

FIRST_COLUMNS = 32
"""Room for a completion's tokens at first; it doubles when it is full."""


@dataclass(frozen=True)
class Prefix:
    """Keys and values of the prompts, a pair a layer."""

    keys: list[Tensor]
    """[P, K, D, L] each: transposed for the product."""
    values: list[Tensor]
    """[P, K, L, D] each."""
    lengths_P: Tensor

    @property
    def is_token_PL(self) -> Tensor:
        return torch.arange(self.values[0].shape[2], device=self.lengths_P.device) < self.lengths_P[:, None]

    def keep(self, prompts: Tensor) -> "Prefix":
        longest = int(self.lengths_P[prompts].max())
        return Prefix(
            [keys[prompts, :, :, :longest] for keys in self.keys],
            [values[prompts, :, :longest] for values in self.values],
            self.lengths_P[prompts],
        )

    def join(self, other: "Prefix") -> "Prefix":
        return Prefix(
            [joined(ours, theirs, dim=3) for ours, theirs in zip(self.keys, other.keys, strict=True)],
            [joined(ours, theirs, dim=2) for ours, theirs in zip(self.values, other.values, strict=True)],
            torch.cat([self.lengths_P, other.lengths_P]),
        )


class Suffix(Cache):
    """Keys and values of the sampled tokens: the cache that the model's own code updates.

    With `is_static` a step reads all columns there is room for, those to come masked, and learns from a tensor which
    one it writes: so every step between two rearrangements is the same work on the same memory, as CUDA graphs need.
    """

    def __init__(self, prefix: Prefix, rows: int, *, is_static: bool) -> None:
        self.layers = []  # transformers asks for it; this cache has no layer objects
        self.is_static = is_static
        self.length = 0
        """Columns written."""
        self.column_1 = torch.zeros(1, dtype=torch.long, device=prefix.lengths_P.device)
        """Where a static step writes."""
        shapes = [(rows, values.shape[1], FIRST_COLUMNS, values.shape[3]) for values in prefix.values]
        # Zeros, since a weight of zero would not silence what memory happens to hold.
        new = torch.Tensor.new_zeros if is_static else torch.Tensor.new_empty
        self.keys = [new(values, shape) for values, shape in zip(prefix.values, shapes, strict=True)]
        self.values = [new(values, shape) for values, shape in zip(prefix.values, shapes, strict=True)]

    @property
    def capacity(self) -> int:
        return self.keys[0].shape[2]

    @property
    def columns(self) -> int:
        """How many of them a step reads, its own among them."""
        return self.capacity if self.is_static else self.length + 1

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        keys, values = self.keys[layer_idx], self.values[layer_idx]
        if self.is_static:
            keys.index_copy_(2, self.column_1, key_states.to(keys.dtype))
            values.index_copy_(2, self.column_1, value_states.to(values.dtype))
            return keys, values
        at, end = self.length, self.length + 1
        keys[:, :, at:end], values[:, :, at:end] = key_states, value_states
        return keys[:, :, :end], values[:, :, :end]

    def arrange(self, rows: Tensor, *, first: int, entering: int, columns: int) -> None:
        """Keeps these rows from column `first` on, adds `entering` empty ones, and makes room for `columns`.

        What an entering row has no token for is zero: a weight of zero would not silence what memory happens to hold.
        """
        filled = self.length - first
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                new = old.new_empty(len(rows) + entering, old.shape[1], columns, old.shape[3])
                new[: len(rows), :, :filled] = old[rows, :, first : self.length]
                new[len(rows) :, :, :filled] = 0
                if self.is_static:
                    new[:, :, filled:] = 0
                tensors[layer] = new
        self.length = filled

    def get_seq_length(self, layer_idx: int = 0, *_: object, **__: object) -> int:
        return self.length

    def get_mask_sizes(self, *_: object, **__: object) -> tuple[int, int]:
        return self.columns, 0


def joined(ours: Tensor, theirs: Tensor, *, dim: int) -> Tensor:
    """Both along the first axis, zeros where `dim` differs."""
    longest = max(ours.shape[dim], theirs.shape[dim])
    return torch.cat([filled(ours, longest, dim), filled(theirs, longest, dim)])


def filled(rows: Tensor, longest: int, dim: int) -> Tensor:
    missing = longest - rows.shape[dim]
    return pad(rows, [0, 0] * (rows.ndim - 1 - dim) + [0, missing]) if missing else rows
