"""The length-bias report against hand-worked numbers, scipy, and pairs simulated with a known effect of length."""

import math

import numpy as np
import pytest
import scipy.stats
from rltk_reward_models.length_bias import length_bias, partial_effects, pearson, ranks
from rltk_reward_models.pairs import ScoredPair

from tests.reward_models.scored import pair, simulated


def test_accuracy_is_split_by_which_side_is_longer():
    leads = [(1.0, 5), (1.0, 3), (-1.0, 2), (1.0, -4), (-1.0, -1), (0.0, 0)]
    found = length_bias([pair(lead, str(i), longer=longer) for i, (lead, longer) in enumerate(leads)])
    parts = (found.chosen_longer, found.chosen_shorter, found.equal)
    assert [(part.accuracy, part.pairs) for part in parts] == [(pytest.approx(2 / 3), 3), (0.5, 2), (0.5, 1)]
    assert (found.equal.ties, found.chosen_longer.ties) == (1, 0)


def test_correlations_are_scipys():
    pairs = simulated(200, length_weight=0.05)
    scores = [s for p in pairs for s in (p.chosen, p.rejected)]
    lengths = [n for p in pairs for n in (p.chosen_length, p.rejected_length)]
    found = length_bias(pairs)
    assert found.pearson == pytest.approx(scipy.stats.pearsonr(scores, lengths)[0], abs=1e-12)
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(scores, lengths)[0], abs=1e-12)


def test_within_prompts_the_prompt_does_not_count():
    """Prompts of long replies score high, and of one prompt's replies the longer scores lower: positive, within -1."""
    pairs = [
        ScoredPair(prompt="a", chosen=10.0, rejected=11.0, chosen_length=102, rejected_length=101),
        ScoredPair(prompt="b", chosen=1.0, rejected=0.0, chosen_length=1, rejected_length=2),
    ]
    found = length_bias(pairs)
    assert found.pearson > 0.9 and found.spearman == pytest.approx(0.6)
    assert found.pearson_within == pytest.approx(-1) and found.spearman_within == pytest.approx(-1)


def test_prompts_of_many_replies_do_not_count_for_more_than_their_order():
    """Four replies of one prompt and two of the other, the longer always scoring lower."""
    replies = [("a", 4.0, 3.0, 1, 2), ("a", 2.0, 1.0, 3, 4), ("b", 9.0, 8.0, 50, 60)]
    pairs = [
        ScoredPair(prompt=p, chosen=c, rejected=r, chosen_length=cl, rejected_length=rl) for p, c, r, cl, rl in replies
    ]
    assert length_bias(pairs).spearman_within == pytest.approx(-1)


def test_ranks_share_ties():
    assert ranks(np.array([3.0, 1.0, 3.0, 7.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_a_constant_correlates_with_nothing():
    assert math.isnan(pearson(np.full(7, 0.1), np.arange(7.0)))
    constant = [
        ScoredPair(prompt="a", chosen=0.1, rejected=0.1, chosen_length=n, rejected_length=n + 1) for n in (1, 3, 8)
    ]
    found = length_bias(constant)
    assert all(map(math.isnan, (found.pearson, found.spearman, found.pearson_within, found.spearman_within)))


def test_nothing_is_nan():
    found = length_bias([])
    assert math.isnan(found.pearson_within) and math.isnan(found.length.weight) and found.equal.pairs == 0


def test_a_model_that_scores_as_the_labels_do_has_no_effect_of_length_left():
    score, length = partial_effects(simulated(4000))
    assert score.interval.low > 1
    assert length.interval.low < 0 < length.interval.high


@pytest.mark.parametrize(("length_weight", "sign"), [(0.05, 1), (-0.05, -1)])
def test_the_effect_of_length_beside_the_score_is_found(length_weight: float, sign: int):
    """In units of the root mean square difference of length."""
    pairs = simulated(4000, length_weight=length_weight)
    scale = math.sqrt(sum(p.extra_length**2 for p in pairs) / len(pairs))
    _, length = partial_effects(pairs)
    assert length.interval.low < length_weight * scale < length.interval.high
    assert sign * length.weight > 0.5 and sign * min(length.interval, key=abs) > 0


def test_separable_preferences_have_no_estimate():
    score, length = partial_effects([pair(1.0, str(i), longer=i - 5) for i in range(10)])
    assert math.isnan(score.weight) and math.isnan(length.interval.low)
