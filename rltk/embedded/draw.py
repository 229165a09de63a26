"""Random choices and splits that are the same on every machine, for all generators of embedded data.

Only `Random.random`, whose sequence Python guarantees, is used: a seed means the same data everywhere.
"""

from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TypeVar

SPLITS = ("train", "validation", "test")

T = TypeVar("T")


class Draw:
    """Random choices built on `Random.random` alone."""

    def __init__(self, seed: int) -> None:
        self.fraction = Random(seed).random

    def one_of(self, items: Sequence[T]) -> T:
        return items[int(self.fraction() * len(items))]

    def some_of(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different places of `items`, in the order drawn."""
        rest = list(items)
        return [rest.pop(int(self.fraction() * len(rest))) for _ in range(count)]

    def weighted(self, weights: dict[T, float]) -> T:
        """A key, as likely as its weight is large."""
        left = self.fraction() * sum(weights.values())
        for item, weight in weights.items():
            left -= weight
            if left < 0:
                return item
        return next(item for item in reversed(weights) if weights[item] > 0)  # rounding used up the last weight

    def between(self, low: int, high: int) -> int:
        return low + int(self.fraction() * (high - low + 1))


def stable_hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def split_of(plan: str) -> str:
    """A tenth of all plans each for test and validation, the rest for train."""
    return {0: "test", 1: "validation"}.get(stable_hash(plan) % 10, "train")


def known_split(split: str) -> str:
    """`split` itself; ValueError if there is none of this name."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return split
