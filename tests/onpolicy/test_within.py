"""Rewards within completions: what each token is told, against hand-worked numbers, exact gradients and whole runs.

Shapes: P problems, G completions a problem, T completion tokens.
"""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rltk.cli import main
from rltk.onpolicy.advantages import advantages_to_go, grpo_advantages, less_the_mean, rloo_advantages
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Tally
from rltk.onpolicy.within import Algo, spread_rewards
from rltk.recipe.schema import GRPO, PPO, RLOO
from rltk.rewards.dense import Dense, Due
from rltk.rollout.sampler import Rollout
from tests import runs
from tests.onpolicy import made, test_ppo
from tests.onpolicy.made import ARMS


def episode(length: int, reward: float = 0.0) -> Episode:
    rollout = Rollout(torch.arange(length), torch.zeros(length), is_truncated=False)
    return Episode([1], rollout, reward, 0.0, is_masked=False)


def spread(algo: Algo, rewards: list[Dense], lengths: list[int], group: int) -> list[Tensor]:
    episodes = [episode(length) for length in lengths]
    totals = torch.tensor([sum(due.reward for due in row) for row in rewards]).view(-1, group)
    found = [one.own_advantages_T for one in spread_rewards(algo, episodes, {"it": rewards}, totals)]
    return [row_T for row_T in found if row_T is not None]


def test_each_reward_is_compared_with_the_others_of_its_number() -> None:
    """Firsts 1, 0, 2: mean 1. Seconds 3, 3 and none, which is 0: mean 2. Off the mean: 0, -1, 1 and 1, 1, -2."""
    rewards: list[Dense] = [(Due(1, 1.0), Due(2, 3.0)), (Due(0, 0.0), Due(3, 3.0)), (Due(0, 2.0),)]
    found = spread(GRPO(scale="none", group=3), rewards, [4, 4, 2], 3)
    expected = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0], [-1.0, -2.0]]
    assert [row_T.tolist() for row_T in found] == expected


def test_groups_do_not_weigh_on_each_other_and_nothing_due_teaches_nothing() -> None:
    rewards: list[Dense] = [(Due(0, 1.0),), (), (), ()]
    found = spread(RLOO(group=2), rewards, [2, 2, 3, 1], 2)
    assert [row_T.tolist() for row_T in found] == [[1.0, 0.0], [-1.0, -1.0], [0.0] * 3, [0.0]]


@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_one_reward_at_the_end_has_the_advantage_that_it_has_without_this(scale: Any) -> None:
    rewards_PG = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    lengths = [1 + index % 5 for index in range(12)]
    rewards: list[Dense] = [(Due(n - 1, r),) for n, r in zip(lengths, rewards_PG.flatten().tolist(), strict=True)]
    for algo, expected in (
        (GRPO(scale=scale, group=4), grpo_advantages(rewards_PG, scale)),
        (RLOO(group=4), rloo_advantages(rewards_PG)),
    ):
        for row_T, one in zip(spread(algo, rewards, lengths, 4), expected.flatten(), strict=True):
            torch.testing.assert_close(row_T, one.expand(len(row_T)), rtol=1e-5, atol=1e-6)


def test_rewards_of_different_names_are_compared_apart() -> None:
    """Otherwise the answer of who took no step would be compared with the first step of who did."""
    episodes, totals = [episode(3), episode(3)], torch.tensor([[1.5, 1.0]])
    due: dict[str, list[Dense]] = {"answer": [(Due(2, 1.0),), (Due(2, 1.0),)], "steps": [(Due(0, 0.5),), ()]}
    found = spread_rewards(RLOO(group=2), episodes, due, totals)
    rows = [one.advantages_T.tolist() for one in found if one.advantages_T is not None]
    assert rows == [[0.5, 0.0, 0.0], [-0.5, -0.5, -0.5]]


def test_what_could_not_be_judged_counts_for_nothing_here_either() -> None:
    judged: list[Dense] = [(Due(0, 1.0), Due(1, 2.0)), (Due(1, 4.0),), (Due(0, 0.0),)]
    few = advantages_to_go(judged, [True] * 3, [2, 2, 2], less_the_mean)
    more = advantages_to_go([*judged, ()], [True] * 3 + [False], [2, 2, 2, 2], less_the_mean)
    assert [row_T.tolist() for row_T in more] == [*(row_T.tolist() for row_T in few), [0.0, 0.0]]


def test_an_empty_completion_is_compared_and_learns_nothing() -> None:
    found = spread(RLOO(group=2), [(Due(0, 1.0),), ()], [1, 0], 2)
    assert [row_T.tolist() for row_T in found] == [[1.0], []]


def test_the_gradient_is_the_true_one() -> None:
    """All groups of two completions of two tokens, each an 0 or a 1, weighed by their probabilities: the mean of what
    RLOO computes is the gradient of the expected reward, by the chain rule, to the last digit of float64."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)  # first; second after 0; after 1

    def logprob(tokens: tuple[int, int]) -> Tensor:
        """[2]"""
        chosen = torch.stack([logits[0], logits[1 + tokens[0]]])
        return torch.where(torch.tensor(tokens) == 1, chosen, -chosen).sigmoid().log()

    def rewards(tokens: tuple[int, int]) -> Dense:
        """A reward after the first token for a 1; after the second for any but the same again, which has none."""
        first = (Due(0, 0.7),) if tokens[0] else ()
        return (*first, Due(1, 2.0 + tokens[1])) if tokens[0] != tokens[1] else first

    completions = [(0, 0), (0, 1), (1, 0), (1, 1)]
    chances = [logprob(tokens).sum().exp() * sum(due.reward for due in rewards(tokens)) for tokens in completions]
    value = torch.stack(chances).sum()
    (true,) = torch.autograd.grad(value, logits)
    surrogate = torch.zeros((), dtype=torch.float64)
    for a, b in product(completions, repeat=2):
        told = advantages_to_go([rewards(a), rewards(b)], [True, True], [2, 2], rloo_advantages)
        chance = (logprob(a).sum() + logprob(b).sum()).exp().detach()
        for tokens, advantages_T in zip((a, b), told, strict=True):
            surrogate = surrogate + chance * (logprob(tokens) * advantages_T.double()).sum() / 2
    (found,) = torch.autograd.grad(surrogate, logits)
    torch.testing.assert_close(found, true, rtol=0, atol=1e-6)
    assert true.abs().min() > 0.01


def test_ppo_is_given_each_reward_at_its_token() -> None:
    """Returns with gamma 0.5, lambda 1 and a critic that says 0: by hand, and with the score bounded the rest is taken
    off at the end."""
    for bound, last in ((None, 1.0), (2.0, 1.0 - 1.5)):
        settings = {"whiten_advantages": False, "gamma": 0.5, "lambda": 1.0, "reward_clip": bound}
        taught = test_ppo.learner("full", **settings)
        assert taught.critic is not None
        taught.critic.head.weight.data.zero_()
        batch = [one._replace(reward=3.5) for one in made.score_as_sampled(taught, made.episodes()[:1])]
        length = len(batch[0].tokens_T)
        due: dict[str, list[Dense]] = {"steps": [(Due(0, 2.0), Due(2, 0.5))], "answer": [(Due(length - 1, 1.0),)]}
        batch = spread_rewards(taught.algo, batch, due, torch.tensor([[3.5]]))
        judged = taught.criticise(taught.fix_logprobs(batch), Tally())[0][0]
        assert isinstance(taught.algo, PPO) and judged.critique is not None
        rewards = [2.0, 0.0, 0.5, *[0.0] * (length - 4), last]
        expected = [sum(0.5 ** (k - t) * rewards[k] for k in range(t, length)) for t in range(length)]
        assert judged.critique.returns_T.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("can_pack", [False, True])
@pytest.mark.parametrize("arm", ARMS)
def test_every_token_is_learned_from_with_its_own_advantage(arm: str, can_pack: bool) -> None:
    """The gradient of -sum A log p, token for token; an episode without any advantage is left out."""
    taught = made.learner(arm, optim={"max_grad_norm": 1e9}, can_pack=can_pack)
    taught.algo = taught.algo.model_copy(update={"importance_cap": None, "loss": "dapo"})
    generator = torch.Generator().manual_seed(3)
    batch = [
        one._replace(advantages_T=torch.randn(len(one.tokens_T), generator=generator) * (index != 1))
        for index, one in enumerate(made.score_as_sampled(taught, made.episodes()))
    ]
    assert [taught.teaches(one) for one in batch] == [index != 1 for index in range(len(batch))]
    tokens = sum(len(one.tokens_T) for one in batch)
    loss = -sum(
        (test_ppo.score(taught.model, test_ppo.make_rows([one.prompt], [one.tokens_T]), 1.0).logprobs_BT[0]
         * one.advantages_T).sum()
        for one in batch if one.advantages_T is not None
    ) / tokens  # fmt: skip
    assert isinstance(loss, Tensor)
    expected = torch.autograd.grad(loss, taught.trained)
    taught.learn(batch, 0)
    for weight, wanted in zip(taught.trained, expected, strict=True):
        torch.testing.assert_close(weight.grad, wanted, rtol=1e-4, atol=1e-6)


OWN = """
CALLS = []


def early(problem, completion):
    CALLS.append(problem)
    {fault}
    digits = [place for place, character in enumerate(completion) if character in "789"]
    return [(digits[0] + 1, 0.5)] if digits else 0
"""


@pytest.mark.parametrize("algo", ["grpo", "rloo", "ppo"])
def test_a_run_with_rewards_within_completions(algo: str, guesser: Path, tmp_path: Path) -> None:
    """Both arms begin with the same completions and rewards, and a run that stopped goes on to the same numbers."""
    own, first = tmp_path / "early.py", dict[str, Any]()
    for arm, tune in ARMS.items():
        recipe = runs.write_recipe(
            tmp_path,
            guesser,
            rewards={"answer": {"type": "answer"}, "early": {"path": str(own), "weight": 2.0}},
            algo={"type": algo, "group": 4} | ({"epochs": 1, "updates": 1} if algo == "ppo" else {}),
            tune=tune,
            optim={"steps": 3, "lr": 0.01},
            eval={"limit": 2, "samples": 0},
        )
        whole, cut = tmp_path / f"{arm}-whole", tmp_path / f"{arm}-cut"
        own.write_text(OWN.format(fault="assert len(CALLS) < 20"))  # of 16 a step
        assert main(["train", str(recipe), "--run", str(cut), "--quiet"]) == 2
        own.write_text(OWN.format(fault="pass"))
        assert main(["train", str(cut), "--resume", "--quiet"]) == 0
        assert main(["train", str(recipe), "--run", str(whole), "--quiet"]) == 0
        assert runs.untimed(cut) == runs.untimed(whole)
        rows = runs.rows(whole / "metrics.jsonl")
        for row in rows:
            assert row["reward"] == pytest.approx(row["reward/answer"] + 2 * row["reward/early"], abs=1e-6)
        assert rows[0]["reward/early"] > 0 and rows[0]["grad_norm"] > 0
        first[arm] = {key: rows[0][key] for key in ("reward", "reward/early", "completion_tokens")}
        losses = first.setdefault("losses", [])
        losses.append(rows[0]["loss"])
    assert first["lora"] == first["full"]
    assert first["losses"][0] == pytest.approx(first["losses"][1], abs=1e-5)
