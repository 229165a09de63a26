"""Bits offered and bits held, by hand."""

import math

import pytest
import torch

from rltk.models.capacity import capacity_used, loss_bits, outcome_bits


def test_a_group_offers_the_entropy_of_its_outcomes_for_each_episode() -> None:
    """Half right: 1 bit each. A quarter right: 0.8113 bits each. All right, all wrong: nothing."""
    rewards_PG = torch.tensor([[1.0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert outcome_bits(rewards_PG[:1]) == 4
    assert outcome_bits(rewards_PG) == pytest.approx(4 + 4 * quarter)


def test_an_episode_offers_at_most_a_bit() -> None:
    """Four different rewards have an entropy of 2 bits."""
    assert outcome_bits(torch.tensor([[0.1, 0.2, 0.3, 0.4]])) == 4


def test_supervised_learning_offers_its_loss() -> None:
    assert loss_bits(math.log(2), 100) == pytest.approx(100)
    assert loss_bits(0.69, 1000) == pytest.approx(995.5, abs=0.1)


def test_a_parameter_holds_two_bits() -> None:
    assert capacity_used(300.0, 100) == 1.5
