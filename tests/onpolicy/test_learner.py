"""One step's optimizer updates: what they depend on, and above all what they do not."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from rltk.models.scoring import make_rows, score
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.onpolicy.objective import Batch, policy_objective, token_weights
from rltk.plan.schedule import schedule
from rltk.recipe.schema import Optim
from tests.onpolicy import made
from tests.onpolicy.made import ARMS, episodes, weights

GENTLE = {"eps": 1.0, "max_grad_norm": 1e9}
"""With so large an eps Adam's step is linear in the gradient, so that weights show its rounding and no more."""


@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("arm", ARMS)
def test_micro_batches_change_nothing(arm: str, loss: str) -> None:
    settings = {"prompts": 3, "group": 3, "loss": loss, "kl": 0.1}
    results: list[tuple[Tally, Learner]] = []
    # One episode at a time; a few; all at once; and each prompt computed once for its group.
    for micro_tokens, can_pack in ((1, False), (50, False), (10_000, False), (50, True), (10_000, True)):
        learner = made.learner(arm, algo=settings, optim={**GENTLE, "micro_tokens": micro_tokens}, can_pack=can_pack)
        results.append((learner.learn(episodes(), 0), learner))
    tally, expected = results[0]
    before = weights(made.policy(arm))
    for other_tally, other in results[1:]:
        for name in ("loss", "kl", "entropy", "clipped", "mismatch", "tokens", "skipped"):
            assert getattr(other_tally, name) == pytest.approx(getattr(tally, name), rel=1e-5, abs=1e-6), name
        assert other_tally.grad_norms == pytest.approx(tally.grad_norms, rel=1e-5)
        for weight, same in zip(expected.trained, other.trained, strict=True):
            torch.testing.assert_close(same.grad, weight.grad, rtol=0, atol=1e-6)
            torch.testing.assert_close(same, weight, rtol=0, atol=1e-6)
    assert tally.grad_norms[0] > 0.01
    assert any(not torch.equal(weight, before[name]) for name, weight in expected.model.named_parameters())


class Thorough(Learner):
    """Computes the gradient of episodes without advantage too, which is zero."""

    def teaches(self, episode: Episode) -> bool:
        return not episode.is_masked


@pytest.mark.parametrize("arm", ARMS)
def test_skipping_what_teaches_nothing_gives_the_very_same_weights(arm: str) -> None:
    """Over steps, so that momentum counts; in the second there is nothing to learn at all, and momentum moves on."""
    optim = {"micro_tokens": 1, "weight_decay": 0.1}  # one at a time: the same sums in the same order
    brief = made.learner(arm, optim=optim)
    thorough = Thorough(made.recipe(tune=ARMS[arm], optim=optim), made.policy(arm), lr=1e-3)
    thorough.algo, thorough.max_new_tokens = brief.algo, brief.max_new_tokens
    nothing = ((0.0,) * 3,) * 3
    for step, advantages in enumerate((made.ADVANTAGES, nothing, made.ADVANTAGES)):
        before = weights(brief.model)
        scored = (
            brief.learn(episodes(step, advantages), step).tokens,
            thorough.learn(episodes(step, advantages), step).tokens,
        )
        assert scored[0] < scored[1]
        for (name, weight), (_, same) in zip(
            brief.model.named_parameters(), thorough.model.named_parameters(), strict=True
        ):
            assert torch.equal(weight, same), (step, name)
            assert torch.equal(weight, before[name]) != weight.requires_grad, (step, name)


def loss_by_hand(learner: Learner, old: Learner, batch: Sequence[Episode]) -> tuple[float, int]:
    """The objective of `learner`'s policy where `old`'s is the one that was there when the step began."""
    rows = make_rows([episode.prompt for episode in batch], [episode.tokens_T for episode in batch])
    with torch.no_grad():
        objective = policy_objective(
            logprobs_BT=score(learner.model, rows, 1.0).logprobs_BT,
            old_logprobs_BT=score(old.model, rows, 1.0).logprobs_BT,
            advantages_BT=torch.tensor([[episode.advantage] for episode in batch]),
            importance_BT=torch.ones(rows.mask_BT.shape),
            reference_logprobs_BT=None,
            weights_BT=token_weights(rows.mask_BT.float(), "dr_grpo", Batch(len(batch), 0, 12)),
            clip_low=0.2,
            clip_high=0.2,
            kl=0.0,
        )
    return objective.loss.item(), int(objective.clipped)


@pytest.mark.parametrize("arm", ARMS)
def test_a_second_epoch_compares_with_the_policy_that_sampled(arm: str) -> None:
    fast, several = {"max_grad_norm": 1e9}, {"prompts": 3, "group": 3, "epochs": 2}
    start, once, twice = (made.learner(arm, optim=fast, algo=algo) for algo in ({}, {}, several))
    for learner in (once, twice):
        learner.lr = 0.02
    batch = made.score_as_sampled(start, episodes())
    first, both = once.learn(batch, 0), twice.learn(batch, 0)
    loss, clipped = loss_by_hand(once, start, batch)
    assert first.clipped == 0
    assert (both.loss - first.loss, both.clipped) == (pytest.approx(loss, rel=1e-4), clipped)
    assert clipped > 5
    assert both.largest_mismatch < 1e-5  # sampled by the old policy: that the new one has moved is no mismatch
    assert both.tokens == 2 * first.tokens


def test_updates_within_an_epoch_compare_with_the_policy_that_sampled() -> None:
    start, halves = made.learner("full"), made.learner("full", algo={"prompts": 3, "group": 3, "updates": 3})
    after_first = made.learner("full", algo={"prompts": 1, "group": 3})
    halves.lr = after_first.lr = 0.02
    batch = made.score_as_sampled(start, episodes(1, ((1.0, -0.5, -0.5), (-1.0, 1.5, -0.5), (0.0, 0.0, 0.0))))
    tally = halves.learn(batch, 0)
    first = after_first.learn(batch[:3], 0)
    loss, clipped = loss_by_hand(after_first, start, batch[3:6])
    assert (tally.loss - first.loss, tally.clipped) == (pytest.approx(loss, rel=1e-4), clipped)
    assert clipped > 0 and first.clipped == 0
    assert len(tally.grad_norms) == 3 and tally.grad_norms[2] == 0.0


def test_one_update_has_a_ratio_of_one_however_far_the_sampler_was() -> None:
    learner = made.learner("full")
    tally = learner.learn(episodes(noise=3.0), 0)
    assert tally.clipped == 0 and tally.largest_mismatch > 1


def masked(batch: Sequence[Episode], seed: int) -> list[Episode]:
    """One completion of the first and of the last group, cut off and masked: other tokens for another seed."""
    others = episodes(seed, ((50.0,) * 3,) * 3, noise=9.0)
    return [
        others[index]._replace(prompt=episode.prompt, is_masked=True) if index in (2, 6) else episode
        for index, episode in enumerate(batch)
    ]


@pytest.mark.parametrize("kl", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["grpo", "dr_grpo", "dapo"])
def test_a_masked_completion_contributes_nothing_but_its_place(loss: str, kl: float) -> None:
    algo = {"prompts": 3, "group": 3, "loss": loss, "kl": kl, "epochs": 2}
    results = [made.learner("full", algo=algo) for _ in range(3)]
    tallies = [
        learner.learn(batch, 0)
        for learner, batch in zip(results, (masked(episodes(), 5), masked(episodes(), 6), episodes()), strict=True)
    ]
    for weight, same, without in zip(*(learner.trained for learner in results), strict=True):
        assert torch.equal(weight, same)
        assert not torch.equal(weight, without)
    assert tallies[0] == tallies[1]


def test_the_place_of_a_masked_completion_counts_in_the_mean_over_completions_but_not_over_tokens() -> None:
    batch = masked(episodes(advantages=((1.0, -0.5, 0.0), (0.0,) * 3, (0.0, 1.5, -0.5))), 5)
    bare = [episode for episode in batch if not episode.is_masked]
    for loss, factor in (("grpo", 7 / 9), ("dr_grpo", 7 / 9), ("dapo", 1.0)):
        losses = []
        for part in (batch, bare):
            learner = made.learner("full", algo={"prompts": 3, "group": 3, "loss": loss, "importance_cap": None})
            losses.append(learner.learn(part, 0).loss)
        assert losses[0] == pytest.approx(factor * losses[1], rel=1e-5)
        assert abs(losses[1]) > 1e-3


@pytest.mark.parametrize("arm", ARMS)
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(arm: str) -> None:
    """The first of three updates; the other two are made, as if it had never been there."""
    algo = {"prompts": 3, "group": 3, "updates": 3}
    alone = {"micro_tokens": 1}  # so that others in a batch do not change how a sum is rounded
    learner = made.learner(arm, algo=algo, optim=alone)
    spared = made.learner(arm, algo={**algo, "prompts": 2, "updates": 2}, optim=alone)
    batch = episodes()
    bad = [batch[0]._replace(advantage=math.inf), *batch[1:]]
    tally = learner.learn(bad, 0)
    spared.learn(batch[3:], 0)
    assert (tally.skipped, len(tally.grad_norms)) == (1, 2)
    for weight, same in zip(learner.trained, spared.trained, strict=True):
        assert torch.isfinite(weight).all()
        assert torch.equal(weight, same)


def test_only_bad_batches_leave_weights_and_optimizer_as_they_were() -> None:
    learner = made.learner("full", optim={"weight_decay": 0.5})
    before = weights(learner.model)
    tally = learner.learn([episode._replace(advantage=math.nan) for episode in episodes()], 0)
    assert (tally.skipped, tally.grad_norms) == (1, [])
    assert all(torch.equal(weight, before[name]) for name, weight in learner.model.named_parameters())
    assert not learner.optimizer.state


def test_gradients_are_clipped_to_their_norm() -> None:
    learner = made.learner("full", optim={"max_grad_norm": 1e-3})
    (norm,) = learner.learn(episodes(), 0).grad_norms
    clipped = torch.cat([weight.grad.flatten() for weight in learner.trained if weight.grad is not None]).norm()
    assert norm > 0.01 and clipped.item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({"schedule": "constant"}, {0: 1.0, 5: 1.0, 9: 1.0}),
        ({"schedule": "linear"}, {0: 1.0, 5: 0.5, 9: 0.1}),
        ({"schedule": "cosine"}, {0: 1.0, 5: 0.5, 9: (1 + math.cos(0.9 * math.pi)) / 2}),
        ({"schedule": "constant", "warmup": 4}, {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 4: 1.0, 9: 1.0}),
        ({"schedule": "linear", "warmup": 5}, {0: 0.2, 4: 1.0, 5: 1.0, 6: 0.8, 9: 0.2}),
        ({"schedule": "cosine", "warmup": 2}, {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.5}),
        ({"schedule": "linear", "warmup": 9}, {8: 1.0, 9: 1.0}),
    ],
)
def test_schedule_by_hand(settings: dict[str, Any], factors: dict[int, float]) -> None:
    optim = Optim(steps=10, **settings)
    assert {step: schedule(optim, step) for step in factors} == pytest.approx(factors)


def test_the_schedule_reaches_the_optimizer() -> None:
    learner = made.learner("lora", optim={"steps": 10, "schedule": "linear", "warmup": 4})
    rates = []
    for step in (0, 3, 7):
        learner.learn(episodes(), step)
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.25e-3, 1e-3, 0.5e-3])


@pytest.mark.parametrize("arm", ARMS)
def test_the_reference_is_the_starting_model(arm: str) -> None:
    """The first step's KL is that of the adapter (or nothing); after many steps the reference has not moved."""
    learner = made.learner(arm, algo={"prompts": 3, "group": 3, "kl": 0.1})
    base = made.learner("full")
    expected = base.forward.logprobs(base.model, episodes())
    for step in range(2):
        fixed = learner.fix_logprobs(episodes())
        for episode, row_T in zip(fixed, expected, strict=True):
            assert episode.reference_logprobs_T is not None
            torch.testing.assert_close(episode.reference_logprobs_T, row_T, rtol=0, atol=1e-5)
        kl = learner.learn(episodes(), step).kl
        assert kl > 0.01 or (arm, step) == ("full", 0)
    assert not any(weight.requires_grad for weight in learner.reference.parameters()) or arm == "lora"


def test_a_policy_learns_what_it_is_rewarded_for() -> None:
    """Completions with positive advantage get likelier, those with negative less so, in every loss."""
    for loss in ("grpo", "dr_grpo", "dapo"):
        learner = made.learner("lora", algo={"prompts": 3, "group": 3, "loss": loss})
        batch = made.score_as_sampled(learner, episodes(advantages=((2.0, -1.0, -1.0), (0.0,) * 3, (-1.0, 2.0, -1.0))))
        for step in range(3):
            learner.learn(made.score_as_sampled(learner, batch), step)
        after = learner.forward.logprobs(learner.model, batch)
        gains = [
            (row_T - episode.rollout.logprobs_T).sum().item() * episode.advantage
            for episode, row_T in zip(batch, after, strict=True)
            if episode.advantage
        ]
        assert min(gains) > 0, (loss, gains)
