"""What is paired with what, and what is refused."""

from math import inf, nan

import numpy as np
import pytest
from rltk_eval.equivalence.scores import arm_scores, pair


def test_seeds_and_items_are_paired_by_name_whatever_their_order():
    lora = arm_scores("lora", {2: {"b": 0.5, "a": 1.0}, 1: {"a": 0.0, "b": 1.0}})
    full = arm_scores("full", {1: {"b": 0.0, "a": 1.0}, 2: {"a": 1.0, "b": 1.0}})
    pairs = pair(lora, full)
    assert pairs.seeds == (1, 2)
    assert pairs.items == ("a", "b")
    assert pairs.difference_SN.tolist() == [[-1.0, 1.0], [0.0, -0.5]]
    assert pairs.difference_S.tolist() == [0.0, -0.25]


def test_a_smaller_loss_is_better():
    pairs = pair(arm_scores("lora", {0: 1.5}), arm_scores("full", {0: 1.2}), higher_is_better=False)
    assert pairs.difference_S.tolist() == pytest.approx([-0.3])


def test_only_seeds_of_both_arms_count_and_the_others_are_named():
    pairs = pair(arm_scores("lora", {1: 0.1, 2: 0.2, 5: 0.3}), arm_scores("full", {2: 0.1, 3: 0.0, 5: 0.1, 6: 1}))
    assert pairs.seeds == (2, 5)
    assert pairs.difference_S.tolist() == pytest.approx([0.1, 0.2])
    assert pairs.dropped_arm == (1,)
    assert pairs.dropped_reference == (3, 6)


def test_items_without_named_clusters_are_their_own():
    arm = arm_scores("lora", {0: {"a": 1, "b": 0}})
    assert pair(arm, arm).clusters == ("a", "b")
    assert pair(arm, arm, clusters={"a": "t", "b": "t", "other": "u"}).clusters == ("t", "t")


def test_correct_or_not_is_a_score():
    assert np.array_equal(arm_scores("lora", {0: {"a": True, "b": False}}).values_SN, [[1.0, 0.0]])


@pytest.mark.parametrize("score", [nan, inf, -inf])
def test_a_score_that_is_no_number_is_refused_by_name(score: float):
    with pytest.raises(ValueError, match=r"arm 'lora', seed 7, item 'q3': the score is"):
        arm_scores("lora", {6: {"q3": 1.0}, 7: {"q3": score}})
    with pytest.raises(ValueError, match=r"arm 'lora', seed 7: the score is"):
        arm_scores("lora", {7: score})


def test_arms_that_cannot_be_paired_are_refused():
    with pytest.raises(ValueError, match="'lora' has no seeds"):
        arm_scores("lora", {})
    with pytest.raises(ValueError, match=r"seed 1: its items \(1 items\) are not those of seed 0 \(2 items\)"):
        arm_scores("lora", {0: {"a": 1, "b": 1}, 1: {"a": 1}})
    with pytest.raises(ValueError, match=r"seed 0: its items .* seed 0|seed 1: its items"):
        arm_scores("lora", {0: {"a": 1}, 1: 0.5})
    with pytest.raises(ValueError, match="seed 3: there are no items"):
        arm_scores("lora", {3: {}})
    with pytest.raises(ValueError, match="share no seed"):
        pair(arm_scores("lora", {0: 1.0}), arm_scores("full", {1: 1.0}))
    with pytest.raises(ValueError, match="not evaluated on the same items"):
        pair(arm_scores("lora", {0: {"a": 1}}), arm_scores("full", {0: {"b": 1}}))
    arm = arm_scores("lora", {0: {"a": 1, "b": 0}})
    with pytest.raises(ValueError, match="1 items have no cluster, such as 'b'"):
        pair(arm, arm, clusters={"a": "t"})
