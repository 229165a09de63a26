"""Completions sampled by something other than the policy that trains stop the run, and the message says by what."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from rltk.errors import UserError
from rltk.models.adapters import adapter_off, adapter_scaled
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.onpolicy.identity import weights_swapped
from rltk.onpolicy.learner import Learner
from rltk.onpolicy.loop import Trainer, train_step
from rltk.rollout.sampler import Rollout, Sampler, Sampling
from tests import tiny
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
    """A policy that has moved away from its base, with the weights before that in `learner.stale`."""
    chosen = recipe(model={"path": str(tiny.folder(tmp_path / "model")), "dtype": dtype}, tune=tune)
    trainer = assemble(chosen, load_inputs(chosen), torch.device("cpu")).trainer
    learner = trainer.learner
    learner.stale = [weight.detach().clone() for weight in learner.trained] if learner.has_adapter else None
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in learner.model.named_parameters():
            if weight.requires_grad and "lora_A" not in name:
                weight.add_(torch.randn_like(weight) * 0.05)
    return trainer


def faults(learner: Learner) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    assert learner.stale is not None
    older = [weight * 0.5 for weight in learner.trained]
    learner.stale = [weight.detach().clone() for weight in older]
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


def test_scaling_is_restored_after_an_error(tmp_path: Path) -> None:
    learner = trained_a_little(tmp_path, LORA, "float32").learner
    before = scalings(learner.model)
    with pytest.raises(KeyError), adapter_scaled(learner.model, 2.0):
        assert scalings(learner.model) == [2 * value for value in before]
        raise KeyError
    assert scalings(learner.model) == before != []


def scalings(model: nn.Module) -> list[float]:
    return [module.scaling["default"] for module in model.modules() if isinstance(module, LoraLayer)]
