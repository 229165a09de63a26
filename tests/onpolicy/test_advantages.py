"""Advantages against numbers worked out by hand, and the invariants that a baseline promises."""

from math import nan

import pytest
import torch

from rltk.onpolicy.advantages import Scale, grpo_advantages, rloo_advantages, zero_variance

SCALES: tuple[Scale, ...] = ("none", "group", "batch")
REWARDS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [3.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
"""Means 0.5, 0.75 and 2."""


def test_without_scale_the_mean_is_taken_off() -> None:
    expected = torch.tensor([[0.5, -0.5, -0.5, 0.5], [2.25, -0.75, -0.75, -0.75], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(grpo_advantages(REWARDS, "none"), expected, rtol=0, atol=1e-7)


def test_group_scale_divides_by_the_sample_deviation_of_each_group() -> None:
    # Squares of the first group add up to 1, of the second to 6.75; divided by 3 and rooted: 0.57735 and 1.5.
    expected = torch.tensor(
        [[0.86588, -0.86588, -0.86588, 0.86588], [1.49990, -0.49997, -0.49997, -0.49997], [0.0, 0.0, 0.0, 0.0]]
    )
    torch.testing.assert_close(grpo_advantages(REWARDS, "group"), expected, rtol=0, atol=1e-5)


def test_batch_scale_divides_by_the_sample_deviation_of_all_rewards() -> None:
    # Mean 13/12; squares 1 + 1 + 9 + 16 = 27 less 12 * (13/12)^2 = 14.0833: 12.9167 / 11, rooted: 1.083625.
    expected = grpo_advantages(REWARDS, "none") / 1.083725
    torch.testing.assert_close(grpo_advantages(REWARDS, "batch"), expected, rtol=1e-5, atol=0)


def test_rloo_takes_off_the_mean_of_the_others() -> None:
    # 1 - 1/3, 0 - 2/3; then 3 - 0, 0 - 1.
    expected = torch.tensor([[2 / 3, -2 / 3, -2 / 3, 2 / 3], [3.0, -1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(rloo_advantages(REWARDS), expected, rtol=0, atol=1e-6)


def test_rloo_with_a_group_of_two_is_the_difference() -> None:
    assert rloo_advantages(torch.tensor([[5.0, 2.0]])).tolist() == [[3.0, -3.0]]


@pytest.mark.parametrize("scale", SCALES)
def test_a_group_adds_up_to_nothing_and_a_bonus_for_all_changes_nothing(scale: Scale) -> None:
    rewards_PG = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    advantages_PG = grpo_advantages(rewards_PG, scale)
    torch.testing.assert_close(advantages_PG.sum(dim=1), torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(grpo_advantages(rewards_PG + 10, scale), advantages_PG, rtol=0, atol=1e-4)
    assert advantages_PG.abs().max() > 0.5


def test_a_problem_does_not_weigh_on_another_unless_the_batch_scales() -> None:
    changed = torch.cat([REWARDS[:2], torch.tensor([[0.0, 9.0, 0.0, 9.0]])])
    expected: dict[Scale, bool] = {"none": True, "group": True, "batch": False}
    for scale, is_same in expected.items():
        before, after = grpo_advantages(REWARDS, scale), grpo_advantages(changed, scale)
        assert torch.equal(before[:2], after[:2]) == is_same, scale
    assert torch.equal(rloo_advantages(REWARDS)[:2], rloo_advantages(changed)[:2])


@pytest.mark.parametrize("group", [3, 6, 7, 8])
@pytest.mark.parametrize("reward", [0.1, 0.3, 0.7, -1 / 3])
def test_equal_rewards_teach_exactly_nothing(reward: float, group: int) -> None:
    """Means of equal numbers round; over a deviation of 0.0001, and by Adam, that rest would become a whole step."""
    rewards_PG = torch.full((2, group), reward)
    assert zero_variance(rewards_PG).tolist() == [True, True]
    for advantages_PG in (*(grpo_advantages(rewards_PG, scale) for scale in SCALES), rloo_advantages(rewards_PG)):
        assert torch.equal(advantages_PG, torch.zeros(2, group))


def test_zero_variance_is_of_groups_and_exact() -> None:
    assert zero_variance(REWARDS).tolist() == [False, False, True]
    assert zero_variance(torch.tensor([[1.0, 1.0], [1.0, 1.0 + 1e-6]])).tolist() == [True, False]


@pytest.mark.parametrize("scale", SCALES)
def test_what_could_not_be_judged_counts_for_nothing(scale: Scale) -> None:
    """The others get what they would get without it, and it gets 0."""
    few = torch.tensor([[1.0, 0.0, 0.5]])
    expected = [grpo_advantages(few, scale), rloo_advantages(few)]
    more = torch.tensor([[1.0, nan, 0.0, 0.5]])
    for found, known in zip([grpo_advantages(more, scale), rloo_advantages(more)], expected, strict=True):
        assert found[0, 1] == 0
        torch.testing.assert_close(found[:, [0, 2, 3]], known, rtol=0, atol=1e-7)


def test_a_group_of_which_one_or_none_was_judged_says_nothing() -> None:
    rewards_PG = torch.tensor([[nan, 3.0], [nan, nan], [1.0, 0.0], [nan, nan]])
    assert zero_variance(rewards_PG).tolist() == [True, True, False, True]
    for scale in SCALES:
        assert grpo_advantages(rewards_PG, scale)[[0, 1, 3]].abs().sum() == 0
    assert rloo_advantages(rewards_PG).tolist() == [[0, 0], [0, 0], [1, -1], [0, 0]]
