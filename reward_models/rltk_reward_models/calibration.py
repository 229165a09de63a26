"""Whether a reward model's leads mean what they say: sigmoid(lead) as the chance that the chosen reply is preferred.

A pair has no first side, so what is judged is the confidence in the reply that scores higher, between 1/2 and 1,
against how often that reply is the preferred one; ties count half. Shapes: N pairs.
"""

import math
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rltk_eval.metrics import Interval

from rltk_reward_models.logistic import fit_logistic, log_loss, sigmoid
from rltk_reward_models.pairs import ScoredPair, cluster_numbers, clustered_mean, share_interval

BLOCK = 1024


class Bin(NamedTuple):
    confidence: float
    """Mean confidence of its pairs."""
    accuracy: float
    interval: Interval
    """Of the accuracy, clustered by prompt."""
    pairs: int


class Calibration(NamedTuple):
    """At one temperature; every number is nan without pairs."""

    log_loss: float
    """Mean of -log sigmoid(lead / temperature), in nats; log 2 = 0.693 for a coin."""
    brier: float
    """Mean of (1 - sigmoid(lead / temperature))^2; 0.25 for a coin."""
    expected_error: float
    """Expected calibration error over `curve`: mean over pairs of |accuracy - confidence| of the pair's bin."""
    kernel_error: float
    """`kernel_error` of the same confidences: without bins and unbiased, so that it may be negative."""
    curve: tuple[Bin, ...]


class Report(NamedTuple):
    temperature: float
    """Fitted on one half of the prompts; nan where no positive, finite one fits best."""
    fitted_pairs: int
    before: Calibration
    """At temperature 1, on the other half."""
    after: Calibration | None
    """At the fitted temperature, on the same half as `before`."""


def calibration(pairs: Sequence[ScoredPair], temperature: float = 1.0, bins: int = 10) -> Calibration:
    """Proper scores, expected calibration error and reliability curve of sigmoid(lead / temperature)."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive; got {temperature}")
    leads_N = _leads(pairs) / temperature
    if not len(leads_N):
        return Calibration(math.nan, math.nan, math.nan, math.nan, ())
    curve = reliability_curve(pairs, temperature, bins)
    expected = sum(part.pairs * abs(part.accuracy - part.confidence) for part in curve) / len(pairs)
    brier = float(np.mean(sigmoid(-leads_N) ** 2))
    return Calibration(log_loss(leads_N), brier, expected, kernel_error(pairs, temperature), curve)


def reliability_curve(pairs: Sequence[ScoredPair], temperature: float = 1.0, bins: int = 10) -> tuple[Bin, ...]:
    """Accuracy against confidence in `bins` bins of equally many pairs (one more or less), from least to most sure.

    Equal mass, since most leads are small and bins of equal width would leave the upper ones to chance: Nixon et al.
    2019, https://arxiv.org/abs/1904.01685.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}")
    ordered = sorted(pairs, key=lambda pair: abs(pair.lead))
    edges = [len(ordered) * edge // bins for edge in range(bins + 1)]
    parts = [ordered[low:high] for low, high in pairwise(edges) if high > low]
    return tuple(_bin(part, temperature) for part in parts)


def kernel_error(pairs: Sequence[ScoredPair], temperature: float = 1.0, width: float = 0.1) -> float:
    """Squared kernel calibration error, unbiased: 0 in expectation for a calibrated model; nan with under two prompts.

    The mean of (y_i - p_i) (y_j - p_j) exp(-|p_i - p_j| / width) over all i, j of different prompts, for confidences p
    and outcomes y: Widmann et al. 2019, https://arxiv.org/abs/1910.11385, equation 5 (unbiased quadratic estimator).
    """
    clusters_N = cluster_numbers([pair.prompt for pair in pairs])
    sure_N = sigmoid(np.abs(_leads(pairs)) / temperature)
    surprise_N = np.array([pair.correct for pair in pairs]) - sure_N if pairs else sure_N
    # In blocks: all pairs of 10,000 at once would take a gigabyte.
    total, count = 0.0, 0
    for start in range(0, len(pairs), BLOCK):
        rows = slice(start, start + BLOCK)
        is_other = clusters_N[rows, None] != clusters_N[None, :]
        kernel = np.exp(-np.abs(sure_N[rows, None] - sure_N[None, :]) / width)
        total += float(surprise_N[rows] @ (kernel * is_other) @ surprise_N)
        count += int(is_other.sum())
    return total / count if count else math.nan


def fit_temperature(pairs: Sequence[ScoredPair]) -> float:
    """The temperature of greatest likelihood, T > 0 in sigmoid(lead / T); the problem is convex in 1 / T.

    nan where it would be infinite or negative (leads that on average point the wrong way) or zero (none does).
    Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.
    """
    fit = fit_logistic(_leads(pairs)[:, None], [pair.prompt for pair in pairs])
    return 1 / float(fit.weights_K[0]) if fit is not None and fit.weights_K[0] > 0 else math.nan


def calibration_report(pairs: Sequence[ScoredPair], bins: int = 10) -> Report:
    """Temperature from one half of the prompts; calibration before and after it on the other half."""
    fitted = [pair for pair in pairs if is_calibration_half(pair.prompt)]
    rest = [pair for pair in pairs if not is_calibration_half(pair.prompt)]
    temperature = fit_temperature(fitted)
    after = None if math.isnan(temperature) else calibration(rest, temperature, bins)
    return Report(temperature, len(fitted), calibration(rest, 1.0, bins), after)


def is_calibration_half(prompt: str) -> bool:
    """By a hash of the prompt, so that its pairs stay together and order does not matter."""
    return sha256(f"calibration half: {prompt}".encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0


def _bin(pairs: Sequence[ScoredPair], temperature: float) -> Bin:
    mean = clustered_mean([pair.correct for pair in pairs], [pair.prompt for pair in pairs])
    confidence = float(np.mean(sigmoid(np.abs(_leads(pairs)) / temperature)))
    return Bin(confidence, mean.value, share_interval(mean, len(pairs)), len(pairs))


def _leads(pairs: Sequence[ScoredPair]) -> NDArray[np.float64]:
    return np.array([pair.lead for pair in pairs], dtype=np.float64)
