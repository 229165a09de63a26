"""Two evaluations on the same items: the difference of their accuracies, which is sharper than either accuracy.

What is undefined is nan.
"""

from collections.abc import Sequence
from math import comb, isclose, nan, sqrt
from statistics import fmean, variance
from typing import NamedTuple

from rltk_eval.metrics import Interval, normal_quantile, t_factor
from rltk_eval.student import t_two_sided_p


class Paired(NamedTuple):
    """The accuracy of A less that of B."""

    difference: float
    interval: Interval
    p: float
    """Two-sided, of no difference."""
    items: int
    only_a: int
    """Discordant items, on which A does better (with one sample an item: A is right and B wrong)."""
    only_b: int
    is_clustered: bool
    """False: one sample an item, McNemar's exact p. True: several, so p and interval are of the items' differences."""


def compare(
    a_by_item: Sequence[Sequence[float]], b_by_item: Sequence[Sequence[float]], confidence: float = 0.95
) -> Paired:
    """A against B, item by item in the same order: 1 for a sample that is right, 0 for one that is not."""
    if len(a_by_item) != len(b_by_item):
        raise ValueError(f"{len(a_by_item)} items against {len(b_by_item)}: compare on the same items")
    if not (all(a_by_item) and all(b_by_item)):
        raise ValueError("every item needs at least one sample on both sides")
    differences = [fmean(a) - fmean(b) for a, b in zip(a_by_item, b_by_item, strict=True)]
    only_a, only_b = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    is_clustered = any(len(values) > 1 for values in (*a_by_item, *b_by_item))
    interval = clustered_difference(differences, confidence) if is_clustered else None
    return Paired(
        difference=fmean(differences) if differences else nan,
        interval=interval or discordant_interval(only_a, only_b, len(differences), confidence),
        p=clustered_p(differences) if is_clustered or not differences else mcnemar_p(only_a, only_b),
        items=len(differences),
        only_a=only_a,
        only_b=only_b,
        is_clustered=is_clustered,
    )


def mcnemar_p(only_a: int, only_b: int) -> float:
    """The exact two-sided p of McNemar's test: the discordant items are tosses of a fair coin; 1 if there is none.

    https://en.wikipedia.org/wiki/McNemar%27s_test#Variations (exact binomial test).
    """
    if only_a < 0 or only_b < 0:
        raise ValueError(f"counts of items, {only_a} and {only_b}, cannot be negative")
    tosses = only_a + only_b
    tail = sum(comb(tosses, heads) for heads in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**tosses)


def discordant_interval(only_a: int, only_b: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of (only_a - only_b) / n for one sample an item, inside [-1, 1]; nan if n is 0.

    Wald's, d +- z sqrt((b + c - (b - c)^2 / n) / n^2), misses too often where few items differ and has no width where
    none does. Bonett and Price, "Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on
    Paired Data", 2012, https://doi.org/10.3102/1076998611411915, add one item to each discordant count.
    """
    z = normal_quantile(confidence)
    if only_a < 0 or only_b < 0 or only_a + only_b > n:
        raise ValueError(f"discordant items ({only_a} and {only_b}) must be among the {n} items")
    if n == 0:
        return Interval(nan, nan)
    b, c, total = only_a + 1, only_b + 1, n + 2
    middle, half = (b - c) / total, z * sqrt((b + c - (b - c) ** 2 / total) / total**2)
    return Interval(max(middle - half, -1.0), min(middle + half, 1.0))


def clustered_difference(differences: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """The t interval of the mean of the items' differences, d +- t s / sqrt(n), n - 1 degrees of freedom; nan for fewer
    than 2 items.

    The paired standard error of Miller, "Adding Error Bars to Evals", 2024, https://arxiv.org/abs/2411.00640, section
    on paired differences; samples of one item are averaged first, so they need not be independent. None where no item
    differs: then `discordant_interval` says what so many items can exclude. nan where all differ alike.
    """
    factor = t_factor(confidence, len(differences) - 1)
    if differences and not any(differences):
        return None
    error = standard_error(differences)
    if not error > 0:
        return Interval(nan, nan)
    middle, half = fmean(differences), factor * error
    return Interval(max(middle - half, -1.0), min(middle + half, 1.0))


def clustered_p(differences: Sequence[float]) -> float:
    """Two-sided p of t = mean / standard error, 1 where no item differs; nan where the error is undefined or 0."""
    if differences and not any(differences):
        return 1.0
    error = standard_error(differences)
    return t_two_sided_p(fmean(differences) / error, len(differences) - 1) if error > 0 else nan


def standard_error(differences: Sequence[float]) -> float:
    """Of the mean; nan for fewer than 2, exactly 0 where all are alike but for rounding."""
    if len(differences) < 2:
        return nan
    if all(isclose(value, differences[0], abs_tol=1e-12) for value in differences):
        return 0.0
    return sqrt(variance(differences) / len(differences))
