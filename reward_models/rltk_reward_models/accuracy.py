"""How often a reward model agrees with the preference, and how much more often than another model or than length."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from rltk_eval.metrics import Interval

from rltk_reward_models.pairs import ScoredPair, clustered_mean, share_interval, t_interval


class Accuracy(NamedTuple):
    accuracy: float
    """Share of pairs whose chosen reply scores higher, ties counting half; nan without pairs."""
    interval: Interval
    """Clustered by prompt; nan for fewer than two prompts."""
    pairs: int
    ties: int
    prompts: int


class Difference(NamedTuple):
    difference: float
    """Accuracy of the one less accuracy of the other, on the same pairs; nan without pairs."""
    interval: Interval
    """Clustered by prompt; nan for fewer than two prompts, and without width where no pair tells the two apart."""
    pairs: int
    prompts: int


class LengthBaseline(NamedTuple):
    prefers: Literal["longer", "shorter"]
    accuracy: Accuracy
    lead: Difference
    """The reward model's accuracy less the baseline's."""


def pair_accuracy(pairs: Sequence[ScoredPair], confidence: float = 0.95) -> Accuracy:
    """The share of pairs that the scores get right, with its interval."""
    mean = clustered_mean([pair.correct for pair in pairs], [pair.prompt for pair in pairs])
    ties = sum(pair.lead == 0 for pair in pairs)
    return Accuracy(mean.value, share_interval(mean, len(pairs), confidence), len(pairs), ties, mean.prompts)


def accuracy_difference(
    ours: Sequence[ScoredPair], theirs: Sequence[ScoredPair], confidence: float = 0.95
) -> Difference:
    """The paired difference of two reward models that scored the same pairs in the same order."""
    _check_same_pairs(ours, theirs)
    gains = [our.correct - their.correct for our, their in zip(ours, theirs, strict=True)]
    mean = clustered_mean(gains, [pair.prompt for pair in ours])
    return Difference(mean.value, t_interval(mean, confidence), len(ours), mean.prompts)


def prefer_longer(pairs: Sequence[ScoredPair]) -> list[ScoredPair]:
    """The pairs as a reward model would score them that only counts length."""
    return [replace(p, chosen=float(p.chosen_length), rejected=float(p.rejected_length)) for p in pairs]


def prefer_shorter(pairs: Sequence[ScoredPair]) -> list[ScoredPair]:
    """The pairs as a reward model would score them that only counts length, against it."""
    return [replace(p, chosen=-float(p.chosen_length), rejected=-float(p.rejected_length)) for p in pairs]


def length_baseline(pairs: Sequence[ScoredPair], confidence: float = 0.95) -> LengthBaseline:
    """The better of "longer wins" and "shorter wins" on these very pairs, which favours the baseline."""
    longer, shorter = prefer_longer(pairs), prefer_shorter(pairs)
    is_shorter = pair_accuracy(shorter).accuracy > pair_accuracy(longer).accuracy
    best = shorter if is_shorter else longer
    lead = accuracy_difference(pairs, best, confidence)
    return LengthBaseline("shorter" if is_shorter else "longer", pair_accuracy(best, confidence), lead)


def _check_same_pairs(ours: Sequence[ScoredPair], theirs: Sequence[ScoredPair]) -> None:
    if len(ours) != len(theirs):
        raise ValueError(f"a paired difference needs the same pairs; got {len(ours)} and {len(theirs)}")
    for index, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        same_lengths = (our.chosen_length, our.rejected_length) == (their.chosen_length, their.rejected_length)
        if our.prompt != their.prompt or not same_lengths:
            raise ValueError(f"pair {index} is not the same on both sides (prompt or lengths differ); sort them alike")
