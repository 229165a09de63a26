"""Pair accuracy, its clustered interval and paired differences, against numbers worked out by hand."""

import gzip
import json
import math
import random
from pathlib import Path

import pytest
from rltk_eval.metrics import wilson
from rltk_reward_models.accuracy import accuracy_difference, length_baseline, pair_accuracy
from rltk_reward_models.pairs import ScoredPair, clustered_mean, share_interval

from tests.reward_models.scored import pair, simulated


def test_ties_count_half_and_are_counted():
    """Two right, one tied, one wrong: 2.5 of 4."""
    found = pair_accuracy([pair(1.0, "a"), pair(2.0, "b"), pair(0.0, "c"), pair(-1.0, "d")])
    assert (found.accuracy, found.pairs, found.ties, found.prompts) == (0.625, 4, 1, 4)


def test_independent_pairs_have_nearly_wilsons_interval():
    """error^2 = p (1 - p) / (N - 1), so the effective size is 99 where Wilson would take 100."""
    found = pair_accuracy([pair(1.0 if i < 70 else -1.0, str(i)) for i in range(100)])
    # z^2 / n = 0.038803: centre (0.7 + 0.019401) / 1.038803, half 1.959964 sqrt(0.0021212 + 0.000097986) / 1.038803.
    assert found.interval == pytest.approx((0.692529 - 0.088882, 0.692529 + 0.088882), abs=2e-6)
    assert found.interval == pytest.approx(wilson(70, 100), abs=1e-3)


def test_pairs_repeated_within_a_prompt_do_not_narrow_the_interval():
    once = [pair(1.0 if i < 70 else -1.0, str(i)) for i in range(100)]
    assert pair_accuracy(once * 5).interval == pytest.approx(pair_accuracy(once).interval, abs=1e-12)
    alone = [pair(p.lead, f"{p.prompt}.{copy}") for copy in range(5) for p in once]
    width = pair_accuracy(alone).interval.high - pair_accuracy(alone).interval.low
    assert width < 0.5 * (pair_accuracy(once).interval.high - pair_accuracy(once).interval.low)


def test_the_standard_error_by_hand():
    """Mean 0.5; residual sums of the prompts: a 0.5 + 0.5 = 1, b -0.5, c -0.5; sqrt(1.5 * 3 / 2) / 4 = 0.375."""
    mean = clustered_mean([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "c"])
    assert (mean.value, mean.error, mean.prompts) == (0.5, 0.375, 3)


def test_all_right_is_as_sure_as_the_number_of_prompts_allows():
    found = pair_accuracy([pair(1.0, str(i % 20)) for i in range(100)])
    assert found.interval == pytest.approx(wilson(20, 20))
    assert found.interval.low < 0.85 and found.interval.high == 1.0


def test_only_ties_are_not_certain():
    interval = pair_accuracy([pair(0.0, str(i)) for i in range(10)]).interval
    assert interval == pytest.approx(wilson(5, 10))


def test_what_is_undefined_is_nan():
    assert math.isnan(pair_accuracy([]).accuracy)
    assert all(map(math.isnan, pair_accuracy([pair(1.0)] * 3).interval))
    assert all(map(math.isnan, share_interval(clustered_mean([], []), 0)))


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="without a score"):
        pair(math.nan)


@pytest.mark.slow
def test_the_interval_covers():
    """95 % of intervals hold the true 0.8, with five pairs a prompt that agree more often than not."""
    draw, hits = random.Random(1), 0
    for _ in range(1000):
        shares = [draw.choice([0.6, 1.0]) for _ in range(60)]
        pairs = [pair(1.0 if draw.random() < s else -1.0, str(i)) for i, s in enumerate(shares) for _ in range(5)]
        interval = pair_accuracy(pairs).interval
        hits += interval.low <= 0.8 <= interval.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_the_difference_is_paired():
    """Ours wins pairs 0 and 1, theirs pair 2, the rest alike: gains 1, 1, -1, 0 x 7; mean 0.1."""
    ours = [pair(lead, str(i)) for i, lead in enumerate([1, 1, -1] + [1] * 7)]
    theirs = [pair(lead, str(i)) for i, lead in enumerate([-1, -1, 1] + [1] * 7)]
    found = accuracy_difference(ours, theirs)
    assert found.difference == pytest.approx(0.1)
    # Sum of squares about the mean 3 - 10 * 0.01 = 2.9; error = sqrt(2.9 / 9 / 10) = 0.17951; t of 9 is 2.262157.
    assert found.interval == pytest.approx((0.1 - 2.262157 * 0.179505, 0.1 + 2.262157 * 0.179505), abs=1e-5)
    assert accuracy_difference(theirs, ours).difference == pytest.approx(-0.1)


def test_other_pairs_cannot_be_compared():
    with pytest.raises(ValueError, match="got 1 and 2"):
        accuracy_difference([pair(1.0)], [pair(1.0)] * 2)
    with pytest.raises(ValueError, match="pair 1 is not the same"):
        accuracy_difference([pair(1.0), pair(1.0, "a")], [pair(1.0), pair(1.0, "b")])
    with pytest.raises(ValueError, match="pair 0 is not the same"):
        accuracy_difference([pair(1.0)], [pair(1.0, longer=3)])


def test_the_baseline_is_the_better_direction_of_length():
    """Chosen longer once, shorter twice, equal once: shorter wins 2.5 of 4; the model has 3 of 4."""
    pairs = [pair(1, "a", longer=5), pair(1, "b", longer=-2), pair(-1, "c", longer=-1), pair(1, "d")]
    found = length_baseline(pairs)
    assert (found.prefers, found.accuracy.accuracy, found.accuracy.ties) == ("shorter", 0.625, 1)
    assert found.lead.difference == pytest.approx(0.125)
    assert length_baseline([pair(1, "a", longer=5), pair(1, "b", longer=1)]).prefers == "longer"


def test_a_model_of_the_labels_beats_length():
    found = length_baseline(simulated(2000))
    assert found.lead.interval.low > 0.15


def test_length_on_real_pairs(shared_data: Path):
    """Anthropic HH: the longer reply is preferred a little more often than not where models were asked to be helpful,
    and the shorter one where they were asked for harm."""
    folder = shared_data / "local" / "hh-rlhf-test-resplit"
    helpful, harmless = (length_baseline(_hh_pairs(folder / name / "train.jsonl.gz")) for name in HH)
    assert helpful.prefers == "longer" and helpful.accuracy.interval.low > 0.5
    assert harmless.prefers == "shorter" and harmless.accuracy.interval.low > 0.5
    assert helpful.lead.difference == pytest.approx(0.5 - helpful.accuracy.accuracy, abs=1e-12)


HH = ("helpful-base", "harmless-base")


def _hh_pairs(file: Path) -> list[ScoredPair]:
    """With a model that gives every reply the same score."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = []
    for row in rows:
        (prompt, _, chosen), rejected = row["chosen"].rpartition("\n\nAssistant:"), row["rejected"]
        lengths = {"chosen_length": len(chosen), "rejected_length": len(rejected.rpartition("\n\nAssistant:")[2])}
        pairs.append(ScoredPair(prompt=prompt, chosen=0.0, rejected=0.0, **lengths))
    return pairs
