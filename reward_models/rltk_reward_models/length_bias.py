"""Whether a reward model pays for length: accuracy where length misleads, correlation, and effect beside the score."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rltk_eval.metrics import Interval, t_factor

from rltk_reward_models.accuracy import Accuracy, pair_accuracy
from rltk_reward_models.logistic import fit_logistic
from rltk_reward_models.pairs import ScoredPair, cluster_numbers

Floats = NDArray[np.float64]


class Effect(NamedTuple):
    weight: float
    """Change of the log-odds of being preferred per root mean square of the difference; nan where it has no estimate"""
    interval: Interval
    """Robust to pairs that share a prompt: +- t standard errors, with one degree of freedom less than prompts."""


class LengthBias(NamedTuple):
    """Every number is nan where it is undefined."""

    chosen_longer: Accuracy
    chosen_shorter: Accuracy
    equal: Accuracy
    pearson: float
    """Of score with length over all replies, each as often as pairs hold it."""
    spearman: float
    pearson_within: float
    """Of what is left of score and length when each prompt's mean is taken off."""
    spearman_within: float
    """The same, of ranks among the replies of one prompt."""
    score: Effect
    length: Effect
    """Above 0: at equal score the longer reply is preferred, so the model pays less for length than the labels do.
    Below 0: it pays more."""


def length_bias(pairs: Sequence[ScoredPair], confidence: float = 0.95) -> LengthBias:
    """All of the report. The last two come from one logistic regression of the preference on both differences."""
    longer = [pair for pair in pairs if pair.extra_length > 0]
    shorter = [pair for pair in pairs if pair.extra_length < 0]
    equal = [pair for pair in pairs if pair.extra_length == 0]
    chosen_longer, chosen_shorter, same = (pair_accuracy(part, confidence) for part in (longer, shorter, equal))
    score, length = partial_effects(pairs, confidence)
    return LengthBias(chosen_longer, chosen_shorter, same, *_correlations(pairs), score, length)


def partial_effects(pairs: Sequence[ScoredPair], confidence: float = 0.95) -> tuple[Effect, Effect]:
    """Of the score difference and of the length difference, each while the other is held fixed."""
    rows_NK = np.array([(pair.lead, pair.extra_length) for pair in pairs], dtype=np.float64).reshape(-1, 2)
    prompts = [pair.prompt for pair in pairs]
    fit, factor = fit_logistic(rows_NK, prompts), t_factor(confidence, len(set(prompts)) - 1)
    if fit is None:
        undefined = Effect(math.nan, Interval(math.nan, math.nan))
        return undefined, undefined
    scales_K = np.sqrt(np.mean(rows_NK**2, axis=0))
    score, length = (
        _effect(float(weight), factor * float(error))
        for weight, error in zip(scales_K * fit.weights_K, scales_K * fit.errors_K, strict=True)
    )
    return score, length


def pearson(left: Floats, right: Floats) -> float:
    """Correlation; nan where a side does not vary."""
    if not len(left):
        return math.nan
    left, right = _less(left, left.mean()), _less(right, right.mean())
    spread = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / spread if spread > 0 else math.nan


def ranks(values: Floats) -> Floats:
    """From 1 upwards; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _effect(weight: float, half: float) -> Effect:
    return Effect(weight, Interval(weight - half, weight + half))


def _correlations(pairs: Sequence[ScoredPair]) -> tuple[float, float, float, float]:
    """Pearson and Spearman over all replies, then within prompts."""
    scores = np.array([score for pair in pairs for score in (pair.chosen, pair.rejected)], dtype=np.float64)
    lengths = np.array([n for pair in pairs for n in (pair.chosen_length, pair.rejected_length)], dtype=np.float64)
    prompts = np.repeat(cluster_numbers([pair.prompt for pair in pairs]), 2)
    ranked_scores, ranked_lengths = _ranks_within(scores, prompts), _ranks_within(lengths, prompts)
    return (
        pearson(scores, lengths),
        pearson(ranks(scores), ranks(lengths)),
        pearson(_centred(scores, prompts), _centred(lengths, prompts)),
        pearson(_centred(ranked_scores, prompts), _centred(ranked_lengths, prompts)),
    )


def _centred(values: Floats, prompts: NDArray[np.int64]) -> Floats:
    """Each value less the mean of its prompt."""
    return _less(values, (np.bincount(prompts, values) / np.bincount(prompts))[prompts])


def _less(values: Floats, mean: Floats | np.floating) -> Floats:
    """The difference, without what rounding leaves of a constant, which would correlate with anything."""
    rest = values - mean
    return np.where(np.abs(rest) <= 1e-12 * np.abs(values), 0.0, rest)


def _ranks_within(values: Floats, prompts: NDArray[np.int64]) -> Floats:
    ranked = np.empty_like(values)
    for members in np.split(np.argsort(prompts, kind="stable"), np.cumsum(np.bincount(prompts))[:-1]):
        ranked[members] = ranks(values[members])
    return ranked
