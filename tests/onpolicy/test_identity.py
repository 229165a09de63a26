"""Completions sampled by something other than the policy that trains stop the run, and the message says by what."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from rltk.errors import UserError
from rltk.models.adapters import adapter_off, adapter_scaled
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.onpolicy.identity import EXPLAINED, doubt, weights_swapped
from rltk.onpolicy.learner import Learner
from rltk.onpolicy.loop import Trainer, train_step
from rltk.rollout.sampler import Rollout, Sampler, Sampling
from tests import runs, tiny
from tests.onpolicy import made
from tests.recipes import FULL, LORA, recipe


class FaultySampler:
    """Samples while a fault is in force."""

    def __init__(self, sampler: Sampler, fault: Callable[[], AbstractContextManager[None]]) -> None:
        self.sampler, self.fault = sampler, fault

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        with self.fault():
            return self.sampler.sample(prompts, group, sampling, seed=seed)


def trained_a_little(tmp_path: Path, tune: Mapping[str, object], dtype: str) -> Trainer:
    """A policy that has moved away from its base, with the weights before that in `learner.earlier`."""
    chosen = recipe(model={"path": str(tiny.folder(tmp_path / "model")), "dtype": dtype}, tune=tune)
    trainer = assemble(chosen, load_inputs(chosen), torch.device("cpu")).trainer
    learner = trainer.learner
    if learner.has_adapter:
        learner.earlier.appendleft([weight.detach().clone() for weight in learner.trained])
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in learner.model.named_parameters():
            if weight.requires_grad and "lora_A" not in name:
                weight.add_(torch.randn_like(weight) * 0.05)
    return trainer


def faults(learner: Learner) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    older = [weight.detach() * 0.5 for weight in learner.trained]
    learner.earlier.appendleft(older)
    return {
        "the base model": lambda: adapter_off(learner.model),
        "the adapter applied twice": lambda: adapter_scaled(learner.model, 2.0),
        "a stale adapter": lambda: weights_swapped(learner.trained, older),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", ["the base model", "the adapter applied twice", "a stale adapter"])
def test_each_fault_is_named(fault: str, dtype: str, tmp_path: Path) -> None:
    trainer = trained_a_little(tmp_path, LORA, dtype)
    sampler = FaultySampler(trainer.sampler, faults(trainer.learner)[fault])
    with pytest.raises(UserError, match=f"step 1 were not sampled by the policy that trains .* they come from {fault}"):
        train_step(Trainer(**{**vars(trainer), "sampler": sampler}), 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tune", [LORA, FULL], ids=["lora", "full"])
def test_a_faithful_sampler_passes(tune: Mapping[str, object], dtype: str, tmp_path: Path) -> None:
    trainer = trained_a_little(tmp_path, tune, dtype)
    for step in range(2):
        metrics = train_step(trainer, step)
        assert metrics["reward"] == 0  # random weights: only the check matters here


def test_a_foreign_policy_is_refused_though_nothing_explains_it(tmp_path: Path) -> None:
    trainer = trained_a_little(tmp_path, FULL, "float32")
    other = [weight + 0.1 * torch.randn_like(weight) for weight in trainer.learner.trained]
    sampler = FaultySampler(trainer.sampler, lambda: weights_swapped(trainer.learner.trained, other))
    with pytest.raises(UserError, match="rounding does not explain it"):
        train_step(Trainer(**{**vars(trainer), "sampler": sampler}), 0)


class LaggingSampler:
    """Samples from the policy as it should, and from the fifth step on from that of some steps ago."""

    def __init__(self, trainer: Trainer, steps: int) -> None:
        self.trainer, self.learner, self.steps = trainer, trainer.learner, steps
        self.seen: list[list[torch.Tensor]] = []

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        self.seen.append([weight.detach().clone() for weight in self.learner.trained])
        with weights_swapped(self.learner.trained, self.seen[-1 - (self.steps if len(self.seen) > 4 else 0)]):
            return self.trainer.sampler.sample(prompts, group, sampling, seed=seed)


def learning(tmp_path: Path, *, lr: float = 3e-3, dropout: float = 0.0, **algo: Any) -> Trainer:
    """A policy that earns rewards from the first step on."""
    problems, checkpoint = runs.problems(tmp_path / "problems.jsonl"), made.checkpoint(tmp_path / "model")
    chosen: dict[str, Any] = {"algo": {"prompts": 8, "group": 4, **algo}, "optim": {"lr": lr, "steps": 20}}
    trainer = made.assembled(checkpoint, "lora", "float32", problems, **chosen).trainer
    if dropout:
        tune = trainer.recipe.tune.model_copy(update={"dropout": dropout})
        noisy = trainer.recipe.model_copy(update={"tune": tune})
        return assemble(noisy, load_inputs(noisy), torch.device("cpu")).trainer
    return trainer


@pytest.mark.parametrize(("lag", "said"), [(1, "the last update"), (3, "the last 3 steps' updates")])
def test_a_lag_of_real_steps_is_found_out(lag: int, said: str, tmp_path: Path) -> None:
    """Small ones, whose KL is below what rounding may explain."""
    trainer = learning(tmp_path, lr=2e-4)
    lagging = Trainer(**{**vars(trainer), "sampler": LaggingSampler(trainer, lag)})
    found = [train_step(lagging, step)["rollout_mismatch_kl"] for step in range(4)]
    assert not any(value > 1e-9 for value in found)
    with pytest.raises(UserError, match=f"step 5 .* they come from a stale adapter, from before {said}") as error:
        train_step(lagging, 4)
    assert float(re.findall(r"KL ([^ ]+) nats", str(error.value))[0]) < EXPLAINED[torch.bfloat16]


@pytest.mark.parametrize("algo", [{}, {"updates": 2}, {"epochs": 2}], ids=["one update", "two updates", "two epochs"])
def test_what_the_policy_learned_within_a_step_is_no_lag(algo: dict[str, Any], tmp_path: Path) -> None:
    trainer = learning(tmp_path, **algo)
    found = [train_step(trainer, step) for step in range(6)]
    assert all(not metrics["rollout_mismatch_kl"] > 1e-9 for metrics in found)
    assert any(metrics["grad_norm"] > 0 for metrics in found)


def test_dropout_is_not_taken_for_another_sampler(tmp_path: Path) -> None:
    trainer = learning(tmp_path, dropout=0.3)
    found = [train_step(trainer, step) for step in range(8)]
    assert all(not metrics["rollout_mismatch_kl"] > 1e-9 for metrics in found)
    assert max(metrics["grad_norm"] for metrics in found) > 0 and trainer.learner.has_dropout


def test_what_nothing_explains_is_said_once() -> None:
    found = {1: None, 2: 1e-3, 3: 0.05, 4: 0.06}
    rows = [{"step": step, "rollout_mismatch_kl": value} for step, value in found.items()]
    said = [doubt(rows[:step], torch.bfloat16) for step in range(1, 5)]
    assert said[:2] == [None, None] and said[3] is None
    assert said[2] is not None and said[2].startswith("step 3: KL 0.05 nats a token")


def test_scaling_is_restored_after_an_error(tmp_path: Path) -> None:
    learner = trained_a_little(tmp_path, LORA, "float32").learner
    before = scalings(learner.model)
    with pytest.raises(KeyError), adapter_scaled(learner.model, 2.0):
        assert scalings(learner.model) == [2 * value for value in before]
        raise KeyError
    assert scalings(learner.model) == before != []


def scalings(model: nn.Module) -> list[float]:
    return [module.scaling["default"] for module in model.modules() if isinstance(module, LoraLayer)]
