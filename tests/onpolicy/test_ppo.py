"""PPO: its gradient is that of its objective, and of REINFORCE where nothing else is switched on; roles on one base.

Shapes: B completions, T completion tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from rltk.models.adapters import adapter_off
from rltk.models.roles import VALUE, add_role
from rltk.models.scoring import make_rows, score
from rltk.onpolicy.critic import Critic, make_critic
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.onpolicy.loop import train_step
from rltk.onpolicy.objective import Batch
from rltk.recipe.schema import PPO
from tests import runs
from tests.onpolicy import made
from tests.onpolicy.made import ARMS
from tests.recipes import recipe

CRITICS = [("lora", "adapter"), ("lora", "head"), ("full", "model"), ("full", "head")]
BARE: dict[str, Any] = {"epochs": 1, "whiten_advantages": False, "importance_cap": None, "clip_value": None}
"""No more than the policy gradient and a squared error."""
REWARDS = (1.0, 0.0, -2.0, 0.5, 0.5, 0.0, 3.0, -1.0, 0.0)


def learner(arm: str, critic: str = "auto", *, can_pack: bool = False, **algo: Any) -> Learner:
    sections: dict[str, Any] = {"algo": {"type": "ppo", "prompts": 3, "group": 3, "critic": {"type": critic}, **algo}}
    chosen = recipe(tune=ARMS[arm], rollout={"max_new_tokens": 12}, optim={"max_grad_norm": 1e9}, **sections)
    policy = made.policy(arm)
    return Learner(chosen, policy, lr=1e-3, can_pack=can_pack, critic=make_critic(chosen, policy, lr=1e-3))


def episodes(taught: Learner) -> list[Episode]:
    """As the policy sampled them, with rewards."""
    batch = [episode._replace(reward=reward) for episode, reward in zip(made.episodes(), REWARDS, strict=True)]
    return made.score_as_sampled(taught, batch)


def random_head(critic: Critic, seed: int = 0) -> None:
    """A critic that says something."""
    weight = critic.head.weight
    weight.data = 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("can_pack", [False, True])
@pytest.mark.parametrize("arm", ARMS)
def test_with_nothing_else_ppo_is_reinforce(arm: str, can_pack: bool) -> None:
    """lambda and gamma 1, values 0, one update: the gradient of -sum R log p / tokens, token for token."""
    taught = learner(arm, can_pack=can_pack, **BARE, value_coef=1e-12)
    batch, weights = episodes(taught), taught.policy
    rows = make_rows([episode.prompt for episode in batch], [episode.tokens_T for episode in batch])
    logprobs_BT = score(taught.model, rows, 1.0).logprobs_BT
    loss = -(torch.tensor(REWARDS)[:, None] * logprobs_BT * rows.mask_BT).sum() / rows.mask_BT.sum()
    expected = torch.autograd.grad(loss, weights)
    tally = taught.learn(batch, 0)
    assert tally.critic["values"] == 0.0 and tally.clipped == 0
    assert max(grad.abs().max().item() for grad in expected) > 1e-3
    for weight, grad in zip(weights, expected, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("arm", "critic"), CRITICS)
def test_the_gradient_is_that_of_the_objective_found_numerically(arm: str, critic: str) -> None:
    """Along one direction in all weights that train, with clipping, KL in the loss and the value loss."""
    taught = learner(arm, critic, epochs=2, kl=0.1, kl_in="loss", clip_value=0.05, clip_low=0.05, clip_high=0.05)
    assert taught.critic is not None
    random_head(taught.critic)
    in_float64(taught)
    batch = taught.criticise(taught.fix_logprobs(episodes(taught)), Tally())[0]
    generator = torch.Generator().manual_seed(5)
    along = [0.02 * torch.randn(weight.shape, generator=generator).double() for weight in taught.trained]
    shift(taught, along, 1.0)  # so that ratios and values are off, and some of them clipped
    tally = taught.accumulate(batch, Tally())
    assert tally.clipped > 0 and tally.values_clipped > 0 and tally.kl > 0 and tally.value_loss > 0
    slope = sum((weight.grad * step).sum().item() for weight, step in grads(taught, along))
    losses = []
    for factor in (1e-3, -2e-3):  # not smaller: logits are float32 whatever the weights are
        shift(taught, along, factor)
        losses.append(taught.accumulate(batch, Tally()).loss)
    assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(slope, rel=1e-2)


def in_float64(taught: Learner) -> None:
    assert taught.critic is not None
    for module in (taught.model, taught.critic.model, taught.critic.head, taught.reference):
        module.double()
    taught.forward.dtype = torch.float64


def grads(taught: Learner, along: Sequence[Tensor]) -> list[tuple[Any, Tensor]]:
    return list(zip(taught.trained, along, strict=True))


@torch.no_grad()
def shift(taught: Learner, along: Sequence[Tensor], factor: float) -> None:
    for weight, step in zip(taught.trained, along, strict=True):
        weight.add_(factor * step)


@pytest.mark.parametrize(("arm", "critic"), CRITICS)
def test_micro_batches_and_packing_change_nothing(arm: str, critic: str) -> None:
    results = []
    for micro_tokens, can_pack in ((1, False), (50, False), (10_000, True)):
        taught = learner(arm, critic, can_pack=can_pack, kl=0.1)
        assert taught.critic is not None
        random_head(taught.critic)
        taught.forward.micro_tokens = micro_tokens
        batch = taught.criticise(taught.fix_logprobs(episodes(taught)), Tally())[0]
        tally = taught.accumulate(batch, Tally())
        results.append((tally, [weight.grad for weight in taught.trained], taught.forward.values(batch)))
    (tally, expected, values), *others = results
    assert tally.value_loss > 0.01 and any(bool(row_T.any()) for row_T in values)
    for other, found, same_values in others:
        for name in ("loss", "value_loss", "kl", "tokens"):
            assert getattr(other, name) == pytest.approx(getattr(tally, name), rel=1e-5, abs=1e-6), name
        for grad, same in zip(expected, found, strict=True):
            torch.testing.assert_close(same, grad, rtol=0, atol=1e-5)
        for row_T, same_T in zip(values, same_values, strict=True):
            torch.testing.assert_close(same_T, row_T, rtol=0, atol=1e-4)


def test_a_value_is_of_the_state_before_its_token() -> None:
    """By the trunk's own forward pass over the prompt and the tokens before."""
    taught = learner("full")
    assert taught.critic is not None
    random_head(taught.critic)
    batch = episodes(taught)
    trunk = taught.critic.model.get_decoder()  # pyright: ignore[reportCallIssue]  # nn.Module's attributes are untyped
    for episode, values_T in zip(batch[:3], taught.forward.values(batch)[:3], strict=True):
        for t in range(len(episode.tokens_T)):
            ids = torch.tensor([episode.prompt + episode.tokens_T[:t].tolist()])
            with torch.no_grad():
                expected = taught.critic.head(trunk(input_ids=ids).last_hidden_state[0, -1])
            assert values_T[t].item() == pytest.approx(expected.item(), abs=1e-5)


def test_with_lora_there_is_exactly_one_copy_of_the_base() -> None:
    """Of policy, critic, a reward adapter and the reference all weights but adapters are the policy's own storage."""
    policy = made.policy("lora")
    assert isinstance(policy, PeftModel)
    base = {weight.data_ptr() for name, weight in policy.named_parameters() if "lora_" not in name}
    chosen = recipe(tune=ARMS["lora"], algo={"type": "ppo", "kl": 0.1})
    critic = make_critic(chosen, policy, lr=1e-3)
    add_role(policy, "reward_x")
    taught = Learner(chosen, policy, lr=1e-3, critic=critic)
    held = {}
    for part in (taught.model, critic.model, taught.reference):
        held |= {weight.data_ptr(): name for name, weight in part.named_parameters()}
    others = {name for pointer, name in held.items() if pointer not in base}
    assert len(held) - len(others) == len(base)
    assert all("lora_" in name for name in others)
    kinds = {kind: sum(f".{kind}." in name for name in others) for kind in ("default", VALUE, "reward_x")}
    assert len(set(kinds.values())) == 1 and sum(kinds.values()) == len(others)
    assert taught.reference is policy and critic.model is policy


def test_roles_do_not_disturb_each_other() -> None:
    """The critic's adapter moves no log-probability, the policy's no value, and switching leaves what trains alone."""
    taught = learner("lora", kl=0.1)
    assert taught.critic is not None
    random_head(taught.critic)
    batch = episodes(taught)
    trains = [name for name, weight in taught.model.named_parameters() if weight.requires_grad]
    values, logprobs = taught.forward.values(batch), taught.forward.logprobs(taught.model, batch)
    with torch.no_grad():
        for weight in taught.policy:
            weight.add_(0.1)
    for row_T, same_T in zip(values, taught.forward.values(batch), strict=True):
        assert torch.equal(row_T, same_T)
    with torch.no_grad():
        for weight in taught.policy:
            weight.sub_(0.1)
        for weight in taught.critic.own:
            weight.add_(0.1)
    for row_T, same_T in zip(logprobs, taught.forward.logprobs(taught.model, batch), strict=True):
        torch.testing.assert_close(row_T, same_T, rtol=0, atol=1e-5)
    assert not any(map(torch.equal, values, taught.forward.values(batch)))
    with adapter_off(taught.model):
        assert not any(map(torch.equal, logprobs, taught.forward.logprobs(taught.model, batch)))
    assert trains == [name for name, weight in taught.model.named_parameters() if weight.requires_grad]
    assert any(VALUE in name for name in trains) and any("default" in name for name in trains)


def test_the_critic_learns_what_completions_are_worth() -> None:
    for arm, critic in CRITICS:
        taught = learner(arm, critic, epochs=8, clip_value=None)
        assert taught.critic is not None
        taught.critic = replace(taught.critic, lr=0.01)
        taught.lr = 0.0 if critic != "head" else 1e-3
        tallies = [taught.learn(episodes(taught), step) for step in range(4)]
        assert tallies[0].critic["explained_variance"] == 0.0
        assert tallies[-1].critic["explained_variance"] > 0.3, (arm, critic)


def test_a_step_ends_early_when_the_policy_has_gone_too_far() -> None:
    counts = []
    for bound in (None, 1e-4):
        taught = learner("full", epochs=4, updates=3, stop_kl=bound)
        taught.lr = 0.02
        counts.append(taught.learn(episodes(taught), 0).updates)
    assert counts[0] == 12 and 1 <= counts[1] < 12


def test_the_kl_coefficient_is_steered_to_its_target() -> None:
    for target, factor in ((1e9, 0.98), (1e-9, 1.02), (None, 1.0)):
        taught = learner("lora", kl=0.5, kl_target=target)  # the adapter is away from the base
        tally = taught.learn(episodes(taught), 0)
        assert (tally.kl_coefficient, taught.kl) == (0.5, pytest.approx(0.5 * factor))


def test_kl_in_the_reward_is_the_log_ratio_token_by_token() -> None:
    taught = learner("lora", kl=0.5, whiten_advantages=False)
    batch = taught.fix_logprobs(episodes(taught))
    judged = taught.criticise(batch, Tally())[0]
    for episode in judged:
        assert episode.critique is not None and episode.old_logprobs_T is not None
        assert episode.reference_logprobs_T is not None
        costs_T = 0.5 * (episode.old_logprobs_T - episode.reference_logprobs_T)
        to_go_T = episode.reward - costs_T.flip(0).cumsum(0).flip(0)
        torch.testing.assert_close(episode.critique.returns_T, to_go_T, rtol=1e-5, atol=1e-5)


def test_rewards_are_bounded_and_cut_off_ones_pay() -> None:
    algo = {"reward_clip": 1.0, "missing_stop_penalty": 0.25, "whiten_advantages": False}
    taught = learner("full", **algo)
    batch = episodes(taught)
    batch[6] = batch[6]._replace(rollout=batch[6].rollout._replace(is_truncated=True))
    judged = taught.criticise(taught.fix_logprobs(batch), Tally())[0]
    totals = [episode.critique.returns_T[0].item() for episode in judged if episode.critique is not None]
    assert totals == [1.0, 0.0, -1.0, 0.5, 0.5, 0.0, 0.75, -1.0, 0.0]


def test_whitened_advantages_count_trained_tokens_alone() -> None:
    taught = learner("full")
    batch = episodes(taught)
    batch[2] = batch[2]._replace(is_masked=True, reward=1e6)
    judged = taught.criticise(taught.fix_logprobs(batch), Tally())[0]
    flat = torch.cat([e.critique.advantages_T for e in judged if e.critique is not None and not e.is_masked])
    assert flat.mean().item() == pytest.approx(0.0, abs=1e-5) and flat.std().item() == pytest.approx(1.0, abs=1e-4)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.checkpoint(tmp_path_factory.mktemp("checkpoint") / "qwen3")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


STEP: dict[str, Any] = {"type": "ppo", "prompts": 32, "group": 1, "kl": 0.05}
NOT_COMPARED = {"rollout_seconds", "train_seconds", "sampled_tokens_per_second", "lr", "critic_lr", "grad_norm"}
WHILE_EQUAL = {"updates": 1, "epochs": 1}


def numbers(metrics: dict[str, Any]) -> dict[str, str]:
    return {name: repr(value) for name, value in metrics.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_first_step_is_the_same_in_both_arms(dtype: str, checkpoint: Path, problems: Path) -> None:
    """Rollouts, rewards, values, advantages, both losses: all but how large the gradient is in which weights."""
    found = []
    for arm in ARMS:
        parts = made.assembled(checkpoint, arm, dtype, problems, algo={**STEP, **WHILE_EQUAL})
        found.append(train_step(parts.trainer, 0))
    assert found[0]["reward"] > 0 and found[0]["grad_norm"] > 0 and found[0]["value_loss"] > 0
    assert numbers(found[0]) == numbers(found[1])


@pytest.mark.parametrize("arm", ARMS)
def test_the_same_seed_gives_the_same_numbers(arm: str, checkpoint: Path, problems: Path) -> None:
    def steps(seed: int) -> list[dict[str, str]]:
        parts = made.assembled(checkpoint, arm, "bfloat16", problems, seed=seed, algo=STEP)
        return [numbers(train_step(parts.trainer, step)) for step in range(2)]

    torch.manual_seed(99)  # a generator that others use must not matter
    first = steps(3)
    assert steps(3) == first
    assert steps(4) != first


def test_the_statement_says_what_is_held(checkpoint: Path, problems: Path) -> None:
    lora, full = (made.assembled(checkpoint, arm, "float32", problems, algo=STEP).statement for arm in ARMS)
    assert "one copy of the base serves policy, critic and reference" in lora
    assert "policy, critic and reference take" in full and "MiB more than the policy alone" in full


def test_the_batch_of_an_objective_is_told() -> None:
    """`Learner.objective` on a batch without critiques would be GRPO's: the critic's part needs them."""
    taught = learner("full", "head", **BARE)
    batch = taught.criticise(taught.fix_logprobs(episodes(taught)), Tally())[0]
    tally = Tally()
    with taught.forward.arranged(taught.model, batch):
        loss = taught.objective(batch, Batch(len(batch), 53, 12), tally).loss.item()
    algo = taught.algo
    assert isinstance(algo, PPO)
    without = learner("full", "head", **BARE, value_coef=1e-12)
    judged = without.criticise(without.fix_logprobs(episodes(without)), Tally())[0]
    with without.forward.arranged(without.model, judged):
        policy_loss = without.objective(judged, Batch(len(batch), 53, 12), replace(Tally())).loss.item()
    assert loss == pytest.approx(policy_loss + algo.value_coef * tally.value_loss, rel=1e-5)
