"""Scores of one arm, seed by seed and item by item, and two arms paired by both.

Shapes: S seeds (training runs), N items of the benchmark, G clusters of items that are not independent (the same
template, the same source problem). A metric that gives one number a run has N = 1 and no items.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ArmScores:
    """`values_SN[s, i]`: what the run of `seeds[s]` scored on `items[i]`; both in sorted order."""

    arm: str
    seeds: tuple[int, ...]
    items: tuple[str, ...] | None
    values_SN: Array


@dataclass(frozen=True, eq=False)
class Pairs:
    """`difference_SN`: how much better `arm` is than `reference`, in the metric's units, for the seeds both have.

    Where a smaller score is better, as for a loss, it is reference minus arm. `clusters[i]` is the cluster of item i.
    `dropped_arm` and `dropped_reference` are the seeds that only one of the two had.
    """

    arm: str
    reference: str
    seeds: tuple[int, ...]
    items: tuple[str, ...] | None
    clusters: tuple[str, ...] | None
    difference_SN: Array
    higher_is_better: bool
    dropped_arm: tuple[int, ...]
    dropped_reference: tuple[int, ...]

    @property
    def difference_S(self) -> Array:
        """The mean over items, seed by seed."""
        return self.difference_SN.mean(axis=1)


def arm_scores(arm: str, by_seed: Mapping[int, float | Mapping[str, float]]) -> ArmScores:
    """The scores of an arm from {seed: {item: score}} or {seed: score}; ValueError for a missing or non-finite score.

    An item's score is any number: correct or not, the mean of several samples, a loss. A score that could not be
    measured must not be given as a number; leave the seed out, and it will be reported as dropped.
    """
    if not by_seed:
        raise ValueError(f"arm {arm!r} has no seeds: give the score of at least one finished run")
    seeds = tuple(sorted(by_seed))
    items = _common_items(arm, by_seed, seeds)
    rows = [_row(arm, seed, by_seed[seed], items) for seed in seeds]
    return ArmScores(arm, seeds, items, np.array(rows, dtype=np.float64))


def pair(
    arm: ArmScores,
    reference: ArmScores,
    *,
    higher_is_better: bool = True,
    clusters: Mapping[str, str] | None = None,
) -> Pairs:
    """Both arms on the seeds they share; ValueError if they share none or were not evaluated on the same items.

    A seed means the same data order, prompts, sampling streams and evaluation items in both arms. `clusters` names
    the cluster of every item; without it each item is its own.
    """
    if arm.items != reference.items:
        raise ValueError(
            f"{arm.arm!r} and {reference.arm!r} were not evaluated on the same items "
            f"({_count(arm.items)} and {_count(reference.items)}): evaluate both on one set"
        )
    shared = tuple(sorted(set(arm.seeds) & set(reference.seeds)))
    if not shared:
        raise ValueError(
            f"{arm.arm!r} (seeds {_listed(arm.seeds)}) and {reference.arm!r} (seeds {_listed(reference.seeds)}) "
            "share no seed: run both arms with the same seeds"
        )
    gap_SN = _rows(arm, shared) - _rows(reference, shared)
    return Pairs(
        arm=arm.arm,
        reference=reference.arm,
        seeds=shared,
        items=arm.items,
        clusters=_clusters(arm.items, clusters),
        difference_SN=gap_SN if higher_is_better else -gap_SN,
        higher_is_better=higher_is_better,
        dropped_arm=tuple(seed for seed in arm.seeds if seed not in shared),
        dropped_reference=tuple(seed for seed in reference.seeds if seed not in shared),
    )


def _common_items(
    arm: str, by_seed: Mapping[int, float | Mapping[str, float]], seeds: tuple[int, ...]
) -> tuple[str, ...] | None:
    first = _items(by_seed[seeds[0]])
    for seed in seeds:
        items = _items(by_seed[seed])
        if items == ():
            raise ValueError(f"arm {arm!r}, seed {seed}: there are no items; leave the seed out or evaluate it")
        if items != first:
            raise ValueError(
                f"arm {arm!r}, seed {seed}: its items ({_count(items)}) are not those of seed {seeds[0]} "
                f"({_count(first)}); evaluate every seed on the same items"
            )
    return first


def _items(scores: float | Mapping[str, float]) -> tuple[str, ...] | None:
    return tuple(sorted(scores)) if isinstance(scores, Mapping) else None


def _row(arm: str, seed: int, scores: float | Mapping[str, float], items: tuple[str, ...] | None) -> list[float]:
    if not isinstance(scores, Mapping):
        return [_finite(scores, f"arm {arm!r}, seed {seed}")]
    return [_finite(scores[item], f"arm {arm!r}, seed {seed}, item {item!r}") for item in items or ()]


def _finite(score: float, where: str) -> float:
    if not isfinite(score):
        raise ValueError(f"{where}: the score is {score}; leave out what could not be measured, or measure it again")
    return float(score)


def _rows(arm: ArmScores, seeds: tuple[int, ...]) -> Array:
    return arm.values_SN[[arm.seeds.index(seed) for seed in seeds]]


def _clusters(items: tuple[str, ...] | None, clusters: Mapping[str, str] | None) -> tuple[str, ...] | None:
    if items is None or clusters is None:
        return items
    missing = [item for item in items if item not in clusters]
    if missing:
        raise ValueError(f"{len(missing)} items have no cluster, such as {missing[0]!r}: name one for every item")
    return tuple(clusters[item] for item in items)


def _count(items: tuple[str, ...] | None) -> str:
    return "no items, one number a seed" if items is None else f"{len(items)} items"


def _listed(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))
