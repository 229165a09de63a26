"""The reward model's loss against numbers worked out by hand and the formula that TRL documents."""

import math

import pytest
import torch
from rltk_reward_models.loss import bradley_terry_loss


def test_equal_scores_cost_log_two():
    scores_B = torch.zeros(3)
    assert bradley_terry_loss(scores_B, scores_B).item() == pytest.approx(math.log(2))


def test_one_pair_by_hand():
    """A lead of ln 3 is a win with probability 3/4: the loss is ln(4/3)."""
    loss = bradley_terry_loss(torch.tensor([math.log(3)]), torch.zeros(1))
    assert loss.item() == pytest.approx(math.log(4 / 3))


def test_the_margin_is_subtracted_from_the_lead():
    chosen_B, rejected_B = torch.tensor([5.0, 2.0]), torch.tensor([1.0, 1.0])
    loss = bradley_terry_loss(chosen_B, rejected_B, margin_B=torch.tensor([4.0, 1.0]))
    assert loss.item() == pytest.approx(math.log(2))


def test_centring_adds_the_mean_square_of_the_sums():
    """Sums 3 and -1, squares 9 and 1, mean 5; times 0.01."""
    chosen_B, rejected_B = torch.tensor([2.0, 0.0]), torch.tensor([1.0, -1.0])
    plain = bradley_terry_loss(chosen_B, rejected_B)
    assert plain.item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert bradley_terry_loss(chosen_B, rejected_B, centring=0.01).item() == pytest.approx(plain.item() + 0.05)


def test_the_formula_of_trl():
    """TRL: the mean of -logsigmoid(chosen - rejected - margin), plus coefficient * mean((chosen + rejected) ** 2)."""
    chosen_B, rejected_B, margin_B = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = sum(
        math.log1p(math.exp(-(c - r - m))) + 0.01 * (c + r) ** 2
        for c, r, m in zip(chosen_B.tolist(), rejected_B.tolist(), margin_B.tolist(), strict=True)
    )
    loss = bradley_terry_loss(chosen_B, rejected_B, margin_B, centring=0.01)
    assert loss.item() == pytest.approx(expected / 16, abs=1e-12)


def test_a_constant_added_to_both_scores_costs_nothing_until_it_is_centred():
    chosen_B, rejected_B = torch.tensor([1.0]), torch.tensor([0.0])
    loss = bradley_terry_loss(chosen_B, rejected_B)
    assert bradley_terry_loss(chosen_B + 7, rejected_B + 7).item() == pytest.approx(loss.item())
    assert bradley_terry_loss(chosen_B + 7, rejected_B + 7, centring=0.1) > loss


def test_the_gradient_of_a_tie_is_half_a_step():
    chosen_B, rejected_B = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    bradley_terry_loss(chosen_B, rejected_B).backward()
    assert chosen_B.grad is not None and rejected_B.grad is not None
    assert (chosen_B.grad.item(), rejected_B.grad.item()) == (-0.5, 0.5)


def test_a_hopeless_pair_has_a_finite_loss():
    assert bradley_terry_loss(torch.tensor([-1000.0]), torch.tensor([1000.0])).item() == pytest.approx(2000.0)


@pytest.mark.parametrize("shape", [(3, 1), (1,), ()])
def test_scores_that_would_broadcast_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"shape \(B,\)"):
        bradley_terry_loss(torch.zeros(3), torch.zeros(shape))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="without pairs"):
        bradley_terry_loss(torch.zeros(0), torch.zeros(0))


def test_gradients_agree_with_finite_differences():
    scores = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def loss(chosen_B: torch.Tensor, rejected_B: torch.Tensor, margin_B: torch.Tensor) -> torch.Tensor:
        return bradley_terry_loss(chosen_B, rejected_B, margin_B, centring=0.3)

    assert torch.autograd.gradcheck(loss, tuple(row.detach().clone().requires_grad_() for row in scores), atol=1e-8)
    chosen_B, rejected_B, margin_B = scores
    loss(chosen_B, rejected_B, margin_B).backward()
    # Of one pair: -(1 - sigmoid(lead)) / B + 2 centring (chosen + rejected) / B.
    lead_B = chosen_B - rejected_B - margin_B
    expected_B = (-torch.sigmoid(-lead_B) + 0.6 * (chosen_B + rejected_B)) / 5
    assert scores.grad is not None and torch.allclose(scores.grad[0], expected_B, atol=1e-12)
