"""Work dealt to processes so that they finish together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def deal(weights: Sequence[int], hands: int) -> list[list[int]]:
    """Places in `weights` for each hand, in order: the heaviest first, each to the hand that has least so far.

    No hand ends up with more than 4/3 of what the best deal would give it (Graham 1969). Equal hands differ by at most
    one in how many they get.
    """
    dealt: list[list[int]] = [[] for _ in range(hands)]
    loads = [(0, 0, hand) for hand in range(hands)]
    for place in sorted(range(len(weights)), key=lambda place: (-weights[place], place)):
        weight, count, hand = min(loads)
        dealt[hand].append(place)
        loads[hand] = (weight + weights[place], count + 1, hand)
    return [sorted(hand) for hand in dealt]


def collected(dealt: Sequence[Sequence[int]], results: Sequence[Sequence[T]]) -> list[T]:
    """What the hands made of their places, in the order of the places."""
    found = {
        place: result
        for hand, made in zip(dealt, results, strict=True)
        for place, result in zip(hand, made, strict=True)
    }
    return [found[place] for place in range(len(found))]
