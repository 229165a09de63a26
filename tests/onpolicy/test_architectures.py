"""The loop on several architectures: what is meant to train moves, and nothing else moves by a single bit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rltk.onpolicy.learner import Tally
from rltk.onpolicy.loop import train_step
from tests import runs
from tests.onpolicy import made
from tests.onpolicy.made import ARMS, weights
from tests.tiny import ARCHITECTURES


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


def test_all_architectures_are_tried() -> None:
    assert set(ARCHITECTURES) >= {"qwen3", "llama", "gemma3", "qwen3_moe"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_two_steps_move_exactly_what_trains(
    architecture: str, arm: str, dtype: str, problems: Path, tmp_path: Path
) -> None:
    checkpoint = made.checkpoint(tmp_path / "model", architecture)
    trainer = made.assembled(checkpoint, arm, dtype, problems, algo={"prompts": 8, "group": 4}).trainer
    model = trainer.learner.model
    start = weights(model)
    metrics = [train_step(trainer, step) for step in range(2)]
    assert all(step["grad_norm"] > 0 and step["skipped_updates"] == 0 for step in metrics)
    assert metrics[0]["clipped"] == metrics[1]["clipped"] == 0  # one update a step

    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, start[name])}
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert moved == trained
    assert all(weight.dtype == start[name].dtype for name, weight in model.named_parameters())
    if arm == "lora":
        assert all("lora_" in name for name in trained)
        assert {name.split(".lora_")[1][0] for name in trained} == {"A", "B"}
    else:
        assert trained == start.keys()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_sampled_is_what_trains_after_steps_too(
    architecture: str, arm: str, problems: Path, tmp_path: Path
) -> None:
    """In float32 the sampler's log-probabilities are the trainer's, before and after the weights have moved."""
    checkpoint = made.checkpoint(tmp_path / "model", architecture)
    trainer = made.assembled(checkpoint, arm, "float32", problems, algo={"prompts": 8, "group": 4}).trainer
    trainer.learner.lr = 0.05
    metrics = [train_step(trainer, step) for step in range(3)]
    assert all(step["grad_norm"] > 0 for step in metrics[:2])
    assert max(step["largest_logprob_difference"] for step in metrics) < 1e-4
    assert max(abs(step["rollout_mismatch_kl"]) for step in metrics) < 1e-7
    assert abs(metrics[2]["entropy"] - metrics[0]["entropy"]) > 1e-3


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_recomputing_activations_changes_no_number(architecture: str, arm: str, problems: Path, tmp_path: Path) -> None:
    """Gradient checkpointing runs layers again in the backward pass, where packing must still be in force."""
    checkpoint = made.checkpoint(tmp_path / "model", architecture)
    for can_pack in (False, True):
        kept, recomputed = (gradients(checkpoint, arm, problems, recomputes, can_pack) for recomputes in (False, True))
        assert max(gradient.abs().max().item() for gradient in kept) > 1e-3
        for ours, theirs in zip(recomputed, kept, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def gradients(checkpoint: Path, arm: str, problems: Path, recomputes: bool, can_pack: bool) -> list[Tensor]:
    model = {"gradient_checkpointing": recomputes}
    learner = made.assembled(checkpoint, arm, "float32", problems, model=model).trainer.learner
    learner.forward.can_pack = can_pack
    learner.model.train()
    runs_of_first_layer = 0

    def count(*_: object) -> None:
        nonlocal runs_of_first_layer
        runs_of_first_layer += 1

    next(
        module for name, module in learner.model.named_modules() if name.endswith("layers.0.mlp")
    ).register_forward_pre_hook(count)
    learner.accumulate(made.episodes(), Tally())
    assert runs_of_first_layer == (2 if recomputes else 1)
    return [weight.grad for weight in learner.trained if weight.grad is not None]
