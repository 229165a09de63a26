"""Scored pairs of replies, and means over them with an interval that knows which pairs share a prompt.

Pairs of one prompt are not independent: the prompt is the cluster. Shapes: N pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rltk_eval.metrics import Interval, normal_quantile, t_factor


@dataclass(frozen=True, kw_only=True)
class ScoredPair:
    """What a reward model gave the two replies to one prompt; lengths in any unit, the same for all pairs."""

    prompt: str
    """The prompt or its id; pairs that share it are one cluster."""
    chosen: float
    rejected: float
    chosen_length: int
    rejected_length: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.chosen) and math.isfinite(self.rejected)):
            raise ValueError(
                f"the pair of prompt {self.prompt!r:.60} has scores {self.chosen} and {self.rejected}; "
                "leave pairs without a score out, and say how many they were"
            )

    @property
    def lead(self) -> float:
        """By how much the chosen reply wins; the log-odds that it is preferred, in a Bradley-Terry model."""
        return self.chosen - self.rejected

    @property
    def correct(self) -> float:
        """1 where the chosen reply scores higher, 0 where the rejected one does, half for a tie."""
        return (self.lead > 0) + 0.5 * (self.lead == 0)

    @property
    def extra_length(self) -> int:
        """By how much the chosen reply is longer."""
        return self.chosen_length - self.rejected_length


class Mean(NamedTuple):
    value: float
    error: float
    """Standard error; nan for fewer than two prompts."""
    prompts: int


def clustered_mean(values: Sequence[float], prompts: Sequence[str]) -> Mean:
    """The mean over pairs, every pair weighing the same, and its cluster-robust standard error; nan of nothing.

    sqrt( sum_c (sum_i (s_ci - m))^2 ) / N, times sqrt(C / (C - 1)) for C prompts: Miller, "Adding Error Bars to
    Evals", 2024, https://arxiv.org/abs/2411.00640.
    """
    if not values:
        return Mean(math.nan, math.nan, 0)
    mean = math.fsum(values) / len(values)
    totals = sum_by(prompts, np.asarray(values, dtype=np.float64) - mean)
    count = len(totals)
    if count < 2:
        return Mean(mean, math.nan, count)
    return Mean(mean, math.sqrt(float(np.sum(totals**2)) * count / (count - 1)) / len(values), count)


def sum_by(prompts: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the rows of each prompt, in the order in which prompts first appear."""
    clusters = cluster_numbers(prompts)
    totals = np.zeros((int(clusters.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(totals, clusters, values)
    return totals


def cluster_numbers(prompts: Sequence[str]) -> NDArray[np.int64]:
    """For each pair the number of its prompt, counted from zero."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts], dtype=np.int64)


def t_interval(mean: Mean, confidence: float = 0.95) -> Interval:
    """mean +- t standard errors, with one degree of freedom less than prompts; nan for fewer than two prompts, and
    without width where no prompt differs from another."""
    half = t_factor(confidence, mean.prompts - 1) * mean.error
    return Interval(mean.value - half, mean.value + half)


def share_interval(mean: Mean, count: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval with the effective sample size m (1 - m) / error^2: inside [0, 1] and never without width.

    The effective size is at most the number of pairs; where every pair is right, or every one wrong, it cannot be
    estimated and is the number of prompts. See Dean and Pagano, "Evaluating Confidence Interval Methods for Binomial
    Proportions in Clustered Surveys", 2015, https://doi.org/10.1093/jssam/smv024.
    """
    z, share = normal_quantile(confidence), mean.value
    if math.isnan(mean.error):
        return Interval(math.nan, math.nan)
    spread = share * (1 - share)
    size = mean.prompts if spread == 0 else min(count, spread / mean.error**2) if mean.error else count
    shrink = 1 + z * z / size
    centre = (share + z * z / (2 * size)) / shrink
    half = z * math.sqrt(spread / size + z * z / (4 * size * size)) / shrink
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
