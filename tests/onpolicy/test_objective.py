"""The clipped objective, one token at a time and by hand; then sums over micro-batches. Shapes as in the module."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from rltk.onpolicy.objective import Batch, Normalisation, k3, policy_objective, token_weights, truncated_importance

LOW, HIGH = 0.1, 0.3


def one_token(
    ratio: float,
    advantage: float,
    *,
    weight: float = 1.0,
    importance: float = 1.0,
    reference: float | None = None,
    kl: float = 0.0,
) -> tuple[float, float, int, float]:
    """Loss, its derivative by the token's log-probability (which is -1), clipped tokens and KL."""
    logprobs_BT = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    objective = policy_objective(
        logprobs_BT=logprobs_BT,
        old_logprobs_BT=torch.tensor([[-1.0 - math.log(ratio)]], dtype=torch.float64),
        advantages_BT=torch.tensor([[advantage]], dtype=torch.float64),
        importance_BT=torch.tensor([[importance]], dtype=torch.float64),
        reference_logprobs_BT=None if reference is None else torch.tensor([[reference]], dtype=torch.float64),
        weights_BT=torch.tensor([[weight]], dtype=torch.float64),
        clip_low=LOW,
        clip_high=HIGH,
        kl=kl,
    )
    objective.loss.backward()
    assert logprobs_BT.grad is not None
    return objective.loss.item(), logprobs_BT.grad.item(), int(objective.clipped), objective.kl.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "derivative", "clipped"),
    [
        (1.0, 2.0, -2.0, -2.0, 0),  # on policy: the policy gradient
        (1.0, -2.0, 2.0, 2.0, 0),
        (1.25, 2.0, -2.5, -2.5, 0),  # within 1 + HIGH
        (1.5, 2.0, -2.6, 0.0, 1),  # risen enough: 1.3 * 2, and no more pull
        (1.5, -2.0, 3.0, 3.0, 0),  # risen though bad: pushed down with all its ratio
        (0.5, 2.0, -1.0, -1.0, 0),  # fallen though good: pulled up
        (0.5, -2.0, 1.8, 0.0, 1),  # fallen enough: 0.9 * 2, and no more push
        (0.95, -2.0, 1.9, 1.9, 0),  # within 1 - LOW
        (1.5, 0.0, 0.0, 0.0, 0),  # nothing to learn, nothing to clip
        (0.5, 0.0, 0.0, 0.0, 0),
    ],
)
def test_clipping_stops_what_went_far_enough_and_nothing_else(
    ratio: float, advantage: float, loss: float, derivative: float, clipped: int
) -> None:
    found = one_token(ratio, advantage)
    assert found == pytest.approx((loss, derivative, clipped, 0.0))


def test_weight_and_importance_multiply_loss_and_gradient() -> None:
    assert one_token(1.25, 2.0, weight=0.5, importance=1.6) == pytest.approx((-2.0, -2.0, 0, 0.0))


def test_k3_by_hand() -> None:
    log_ratios = torch.tensor([0.0, math.log(2.0), -math.log(2.0)], dtype=torch.float64)
    expected = [0.0, 2 - math.log(2) - 1, 0.5 + math.log(2) - 1]
    assert k3(log_ratios).tolist() == pytest.approx(expected)


def test_k3_is_the_kl_divergence_on_average_and_never_negative() -> None:
    p_V, q_V = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.3, 0.6])
    kl = 0.5 * math.log(5) + 0.2 * math.log(1 / 3)
    assert (p_V * k3((q_V / p_V).log())).sum().item() == pytest.approx(kl, abs=1e-6)
    assert (k3(torch.linspace(-5, 5, 101)) >= 0).all()


def test_the_kl_term_by_hand() -> None:
    """The reference finds the token e times likelier: k3 = e - 2. On policy the derivative is the log-ratio."""
    loss, derivative, _, kl = one_token(1.0, 0.0, reference=0.0, kl=0.5)
    assert kl == pytest.approx(math.e - 2)
    assert loss == pytest.approx(0.5 * (math.e - 2))
    assert derivative == pytest.approx(0.5 * -1.0)


def test_off_policy_the_kl_term_is_weighted_by_the_ratio() -> None:
    """Derivative of ratio * k3(x), with x = reference - logprob = 1: ratio * (k3 + 1 - e^x) = -ratio."""
    loss, derivative, _, _ = one_token(1.25, 0.0, reference=0.0, kl=0.4)
    assert loss == pytest.approx(0.4 * 1.25 * (math.e - 2))
    assert derivative == pytest.approx(-0.4 * 1.25)


def test_importance_corrects_the_reward_and_leaves_the_kl_penalty() -> None:
    loss, _, _, _ = one_token(1.0, 2.0, importance=0.5, reference=0.0, kl=0.5)
    assert loss == pytest.approx(-1.0 + 0.5 * (math.e - 2))


def test_the_gradient_of_the_kl_term_is_that_of_the_divergence() -> None:
    """Over all tokens of a small vocabulary, weighted by the policy that sampled them. Shapes: V vocabulary."""
    logits_V = torch.tensor([0.3, -1.0, 0.8, 0.1], dtype=torch.float64, requires_grad=True)
    reference_V = torch.tensor([1.0, 0.2, -0.5, 0.0], dtype=torch.float64).log_softmax(0)
    logprobs_V = logits_V.log_softmax(0)
    penalty = policy_objective(
        logprobs_BT=logprobs_V[None],
        old_logprobs_BT=logprobs_V.detach()[None],
        advantages_BT=torch.zeros(1, 1, dtype=torch.float64),
        importance_BT=torch.ones(1, 4, dtype=torch.float64),
        reference_logprobs_BT=reference_V[None],
        weights_BT=logprobs_V.detach().exp()[None],
        clip_low=LOW,
        clip_high=HIGH,
        kl=1.0,
    )
    (found,) = torch.autograd.grad(penalty.loss, logits_V, retain_graph=True)
    (expected,) = torch.autograd.grad((logprobs_V.exp() * (logprobs_V - reference_V)).sum(), logits_V)
    torch.testing.assert_close(found, expected)


def test_tokens_without_weight_count_nowhere() -> None:
    """The second token is padding: its ratio would be clipped and its divergence large."""
    objective = policy_objective(
        logprobs_BT=torch.tensor([[-1.0, -1.0]]),
        old_logprobs_BT=torch.tensor([[-1.0, -9.0]]),
        advantages_BT=torch.tensor([[1.0]]),
        importance_BT=torch.ones(1, 2),
        reference_logprobs_BT=torch.tensor([[-1.0, -7.0]]),
        weights_BT=torch.tensor([[0.5, 0.0]]),
        clip_low=LOW,
        clip_high=HIGH,
        kl=1.0,
    )
    assert [value.item() for value in objective] == [-0.5, 0.0, 0]


LENGTHS = (3, 1, 4)
"""Tokens of three completions that train; a fourth is masked and only counted."""
BATCH = Batch(completions=4, tokens=8, max_new_tokens=5)
TOKEN_LOSSES = ([3.0, 6.0, 9.0], [4.0], [1.0, 1.0, 1.0, 5.0])
STEP_LOSS: dict[Normalisation, float] = {
    "grpo": (6 + 4 + 2) / 4,
    "dapo": (18 + 4 + 8) / 8,
    "dr_grpo": (18 + 4 + 8) / (4 * 5),
}
PARTITIONS = [([0, 1, 2],), ([0], [1], [2]), ([1, 0], [2]), ([2, 1], [0])]


def padded(rows: Sequence[list[float]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)


@pytest.mark.parametrize(("normalisation", "partition"), list(itertools.product(STEP_LOSS, PARTITIONS)))
def test_micro_batches_add_up_to_the_loss_of_the_step(
    normalisation: Normalisation, partition: tuple[list[int], ...]
) -> None:
    total = 0.0
    for rows in partition:
        mask_BT = padded([[1.0] * LENGTHS[row] for row in rows])
        losses_BT = padded([TOKEN_LOSSES[row] for row in rows])
        total += (token_weights(mask_BT, normalisation, BATCH) * losses_BT).sum().item()
    assert total == pytest.approx(STEP_LOSS[normalisation], rel=1e-6)


def test_weights_of_each_token() -> None:
    mask_BT = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    weights: dict[Normalisation, list[list[float]]] = {
        "grpo": [[1 / 12, 1 / 12, 1 / 12, 0], [1 / 4, 0, 0, 0]],
        "dapo": [[1 / 8, 1 / 8, 1 / 8, 0], [1 / 8, 0, 0, 0]],
        "dr_grpo": [[1 / 20, 1 / 20, 1 / 20, 0], [1 / 20, 0, 0, 0]],
    }
    for normalisation, expected in weights.items():
        torch.testing.assert_close(token_weights(mask_BT, normalisation, BATCH), torch.tensor(expected))


def test_a_step_without_trained_tokens_has_no_weights_rather_than_nan() -> None:
    for normalisation in STEP_LOSS:
        weights_BT = token_weights(torch.zeros(1, 2), normalisation, Batch(4, 0, 5))
        assert weights_BT.tolist() == [[0.0, 0.0]]


def test_truncated_importance_by_hand() -> None:
    old = torch.tensor([[-1.0, -1.0, -1.0, -1.0]], requires_grad=True)
    sampled = torch.tensor([[-1.0, -1.5, -0.5, -1000.0]])
    importance = truncated_importance(old, sampled, 1.5)
    # The trainer finds the second token e^0.5 = 1.65 times likelier than the sampler did: capped.
    torch.testing.assert_close(importance, torch.tensor([[1.0, 1.5, math.exp(-0.5), 1.5]]))
    assert not importance.requires_grad
    torch.testing.assert_close(truncated_importance(old, sampled, 2.0)[0, 1].item(), math.exp(0.5))


def test_without_a_cap_nothing_is_corrected() -> None:
    assert truncated_importance(torch.tensor([[-1.0]]), torch.tensor([[-3.0]]), None).tolist() == [[1.0]]
