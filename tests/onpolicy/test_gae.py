"""Advantages, returns, whitening, value loss and KL control: by hand, and against sums written out. Shapes: B, T."""

import math

import pytest
import torch
from torch import Tensor

from rltk.onpolicy.gae import (
    adapted_kl,
    explained_variance,
    generalized_advantages,
    token_rewards,
    value_loss,
    whitened,
)

LENGTHS = (5, 1, 8, 3)


def random(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rewards, values and mask of four completions; what stands where the mask is False must not matter."""
    generator = torch.Generator().manual_seed(seed)
    rewards_BT, values_BT = torch.randn(2, len(LENGTHS), max(LENGTHS), dtype=torch.float64, generator=generator)
    mask_BT = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return rewards_BT * mask_BT, values_BT, mask_BT


def test_advantages_by_hand() -> None:
    """gamma 1/2, lambda 1/2: deltas are 0 + 2 - 2 = 0, 0 + 4 - 4 = 0 and 10 - 8 = 2, and a quarter goes back."""
    found = generalized_advantages(
        torch.tensor([[0.0, 0.0, 10.0, 0.0]]),
        torch.tensor([[2.0, 4.0, 8.0, 99.0]]),
        torch.tensor([[True, True, True, False]]),
        gamma=0.5,
        lam=0.5,
    )
    assert found.advantages_BT.tolist() == [[0.125, 0.5, 2.0, 0.0]]
    assert found.returns_BT.tolist() == [[2.125, 4.5, 10.0, 0.0]]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 1.0), (1.0, 0.95), (0.9, 0.5), (0.7, 1.0)])
def test_advantages_are_the_sum_of_the_paper(gamma: float, lam: float) -> None:
    rewards_BT, values_BT, mask_BT = random(0)
    found = generalized_advantages(rewards_BT, values_BT, mask_BT, gamma=gamma, lam=lam)
    for b, length in enumerate(LENGTHS):
        values = [*values_BT[b, :length].tolist(), 0.0]
        delta = [rewards_BT[b, t].item() + gamma * values[t + 1] - values[t] for t in range(length)]
        for t in range(max(LENGTHS)):
            expected = sum((gamma * lam) ** later * delta[t + later] for later in range(length - t))
            assert found.advantages_BT[b, t].item() == pytest.approx(expected, abs=1e-10)
            value = values[t] if t < length else 0.0
            assert found.returns_BT[b, t].item() == pytest.approx(expected + value, abs=1e-10)


def test_with_lambda_one_returns_are_what_was_earned_whatever_the_critic_says() -> None:
    rewards_BT, values_BT, mask_BT = random(1)
    found = generalized_advantages(rewards_BT, values_BT, mask_BT, gamma=1.0, lam=1.0)
    to_go_BT = rewards_BT.flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(found.returns_BT, to_go_BT * mask_BT, rtol=0, atol=1e-10)


def test_token_rewards_by_hand() -> None:
    mask_BT = torch.tensor([[True, True, True], [True, False, False]])
    found = token_rewards(torch.tensor([3.0, -1.0]), mask_BT, torch.tensor([[0.5, -1.0, 2.0], [4.0, 0.0, 0.0]]), 0.1)
    torch.testing.assert_close(found, torch.tensor([[-0.05, 0.1, 2.8], [-1.4, 0.0, 0.0]]))
    assert token_rewards(torch.tensor([3.0, -1.0]), mask_BT, None, 0.1).tolist() == [[0, 0, 3], [-1, 0, 0]]


def test_a_completion_without_tokens_has_no_rewards() -> None:
    found = token_rewards(torch.tensor([3.0]), torch.tensor([[False, False]]), None, 0.0)
    assert found.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("keep_mean", [False, True])
def test_whitening_is_of_the_masked_values_alone(keep_mean: bool) -> None:
    _, values_BT, mask_BT = random(2)
    found_BT = whitened(values_BT, mask_BT, keep_mean=keep_mean)
    chosen = [values_BT[b, t].item() for b, length in enumerate(LENGTHS) for t in range(length)]
    mean = math.fsum(chosen) / len(chosen)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in chosen) / (len(chosen) - 1))
    for b, length in enumerate(LENGTHS):
        for t in range(max(LENGTHS)):
            expected = (values_BT[b, t].item() - mean) / (std + 1e-8) + (mean if keep_mean else 0)
            assert found_BT[b, t].item() == pytest.approx(expected if t < length else 0.0, abs=1e-10)


def test_whitened_rewards_keep_their_mean() -> None:
    found_BT = whitened(torch.tensor([[1.0, 1.0, 3.0]]), torch.ones(1, 3).bool(), keep_mean=True)
    assert found_BT.mean().item() == pytest.approx(5 / 3) and found_BT.std().item() == pytest.approx(1.0)


def test_equal_values_are_centred_and_not_blown_up() -> None:
    """What rounding leaves of their difference must not become a standard deviation."""
    mask_BT = torch.tensor([[True, True, False]])
    assert whitened(torch.tensor([[0.1, 0.1, 5.0]]), mask_BT).tolist() == [[0.0, 0.0, 0.0]]
    assert whitened(torch.tensor([[0.3 - 3e-8, 0.3 + 3e-8, 5.0]]), mask_BT).abs().max() < 1e-7
    assert whitened(torch.tensor([[7.0, 1.0]]), torch.tensor([[True, False]]), keep_mean=True).tolist() == [[7.0, 0.0]]
    assert whitened(torch.tensor([[7.0]]), torch.tensor([[False]])).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("value", "loss", "derivative", "clipped"),
    [
        (1.0, 0.5 * 4.0, -2.0, 0),  # where it was: half of (1 - 3)^2
        (1.1, 0.5 * 1.9**2, -1.9, 0),  # within the bound
        (1.5, 0.5 * 1.8**2, 0.0, 1),  # moved up to the bound of 1.2 and beyond: no more pull
        (0.5, 0.5 * 2.5**2, -2.5, 0),  # moved the wrong way: all its error
        (9.0, 0.5 * 36.0, 6.0, 0),  # far beyond the target: pulled back, by the larger error
    ],
)
def test_value_loss_by_hand(value: float, loss: float, derivative: float, clipped: int) -> None:
    """The value was 1 and should be 3; it may move by 0.2."""
    value_BT = torch.tensor([[value]], dtype=torch.float64, requires_grad=True)
    old_BT, target_BT, weight_BT = (torch.tensor([[number]], dtype=torch.float64) for number in (1.0, 3.0, 1.0))
    found = value_loss(value_BT, old_BT, target_BT, weight_BT, clip=0.2)
    found.loss.backward()
    assert value_BT.grad is not None
    assert (found.loss.item(), value_BT.grad.item()) == (pytest.approx(loss), pytest.approx(derivative))
    assert int(found.clipped) == clipped


@pytest.mark.parametrize("clip", [0.2, None])
def test_value_loss_is_the_weighted_sum_written_out(clip: float | None) -> None:
    returns_BT, values_BT, mask_BT = random(3)
    old_BT = values_BT + 0.3 * torch.randn(values_BT.shape, generator=torch.Generator().manual_seed(4)).double()
    weights_BT = mask_BT.double() / 17
    found = value_loss(values_BT, old_BT, returns_BT, weights_BT, clip=clip)
    expected = 0.0
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            value, old, target = (tensor[b, t].item() for tensor in (values_BT, old_BT, returns_BT))
            bounded = value if clip is None else min(max(value, old - clip), old + clip)
            expected += 0.5 * max((value - target) ** 2, (bounded - target) ** 2) / 17
    assert found.loss.item() == pytest.approx(expected, abs=1e-10)


def test_explained_variance_by_hand() -> None:
    returns_N = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(returns_N, returns_N) == 1.0
    assert explained_variance(torch.tensor([5.0, 5.0, 5.0]), returns_N) == pytest.approx(0.0)
    assert explained_variance(torch.tensor([3.0, 2.0, 1.0]), returns_N) == pytest.approx(-3.0)
    assert math.isnan(explained_variance(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 4.0])))
    assert math.isnan(explained_variance(torch.tensor([]), torch.tensor([])))


@pytest.mark.parametrize(
    ("observed", "expected"), [(6.0, 0.2), (6.6, 0.202), (60.0, 0.204), (5.4, 0.198), (0.0, 0.196), (-3.0, 0.196)]
)
def test_the_kl_controller_by_hand(observed: float, expected: float) -> None:
    """Target 6: a tenth of the relative error, which counts up to a fifth, is added to the coefficient of 0.2."""
    assert adapted_kl(0.2, observed, 6.0) == pytest.approx(expected)
