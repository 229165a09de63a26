"""Proportions with honest intervals, pass@k and the majority's answer. What is undefined is nan."""

from collections import Counter
from collections.abc import Sequence
from math import comb, nan, sqrt
from statistics import NormalDist, fmean, variance
from typing import NamedTuple

from rltk_eval.student import t_quantile


class Interval(NamedTuple):
    """A confidence interval; nan on both sides where it is undefined."""

    low: float
    high: float


def wilson(correct: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion, inside [0, 1] and never of zero width; nan if n is 0.

    https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if not 0 <= correct <= n:
        raise ValueError(f"correct ({correct}) must lie between 0 and n ({n})")
    z = normal_quantile(confidence)
    if n == 0:
        return Interval(nan, nan)
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    # At the ends one bound is exactly 0 or 1; in floats it would miss by a rounding error.
    return Interval(0.0 if correct == 0 else centre - half, 1.0 if correct == n else centre + half)


def mean_of_items(values_by_item: Sequence[Sequence[float]]) -> float:
    """The mean over items of each item's own mean, so that every problem weighs the same; nan if there is none."""
    if not all(values_by_item):
        raise ValueError("every item needs at least one value; leave out items that were not sampled")
    return fmean(map(fmean, values_by_item)) if values_by_item else nan


def clustered_interval(values_by_item: Sequence[Sequence[float]], confidence: float = 0.95) -> Interval:
    """The t interval of `mean_of_items` when the samples of one item are not independent; nan for fewer than 2 items.

    With C items of means m_c and overall mean m:  m +- t sqrt( sum_c (m_c - m)^2 / (C (C - 1)) ),  where t is Student's
    with C - 1 degrees of freedom (as the normal's 1.96 is too narrow for few items: 91 % of intervals would hold the
    truth with 8) and the root is the standard error of question-level means in Miller, "Adding Error Bars to Evals",
    2024, https://arxiv.org/abs/2411.00640. For equally many samples an item it is his cluster-robust one (cluster =
    problem), sqrt( sum_c (sum_i (s_ci - m))^2 ) / N over N samples, times the usual small-sample correction
    sqrt(C / (C - 1)). It is not clipped to [0, 1], and has no width where all items have the same mean.
    """
    mean, factor = mean_of_items(values_by_item), t_factor(confidence, len(values_by_item) - 1)
    if len(values_by_item) < 2:
        return Interval(nan, nan)
    half = factor * sqrt(variance(map(fmean, values_by_item)) / len(values_by_item))
    return Interval(mean - half, mean + half)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Chance that at least one of k draws, without replacement, from n samples is correct; nan if n < k.

    Unbiased: "Evaluating Large Language Models Trained on Code", 2021, https://arxiv.org/abs/2107.03374, equation 1.
    """
    if k < 1 or not 0 <= correct <= n:
        raise ValueError(f"k ({k}) must be at least 1 and correct ({correct}) between 0 and n ({n})")
    return nan if n < k else 1 - comb(n - correct, k) / comb(n, k)


def majority(answers: Sequence[str | None]) -> str | None:
    """The answer given most often, of several the one that came first; None abstains, and is what is left of nothing.

    The vote of "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022,
    https://arxiv.org/abs/2203.11171, over answers as they are canonically written.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=lambda answer: votes[answer]) if votes else None


def normal_quantile(confidence: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(upper_end(confidence))


def t_factor(confidence: float, df: int) -> float:
    """t of a two-sided interval: 2.36 for 0.95 and 7 degrees of freedom, nan without any."""
    return t_quantile(upper_end(confidence), df)


def upper_end(confidence: float) -> float:
    """The probability below the upper end of a two-sided interval."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95; got {confidence}")
    return (1 + confidence) / 2
