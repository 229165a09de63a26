"""Before anything is learned LoRA and full fine-tuning are one policy in one arithmetic: they differ later only."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rltk.onpolicy.assemble import Assembled
from rltk.onpolicy.learner import Learner, Tally
from rltk.onpolicy.loop import train_step
from rltk.onpolicy.objective import Batch
from rltk.rollout.sampler import Rollout, Sampling
from tests import runs
from tests.onpolicy import made
from tests.onpolicy.made import ARMS


def ppo(critic: str) -> dict[str, Any]:
    """Of one update, because arms differ after the first."""
    return {"type": "ppo", "kl": 0.05, "epochs": 1, "updates": 1, "critic": {"type": critic}}


DTYPES = ("float32", "bfloat16")
ARCHITECTURES = ("qwen3", "qwen3_moe", "gemma3")
STILL: dict[str, Any] = {"optim": {"lr": 1e-30}, "algo": {"prompts": 8, "group": 8}}
MANY = {"prompts": 8, "group": 8}
"""So that some are right."""
RLOO = {"type": "rloo"}
LOOPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rloo": (RLOO, RLOO),
    "rloo with kl": (RLOO | {"kl": 0.05}, RLOO | {"kl": 0.05}),
    "ppo, critic auto": (ppo("auto"), ppo("auto")),
    "ppo, a critic of its own": (ppo("adapter"), ppo("model")),
    "ppo, critic head": (ppo("head"), ppo("head")),
}
"""What LoRA and full fine-tuning are asked for: a critic of its own is an adapter with LoRA, otherwise a model."""
NOT_COMPARED = {"rollout_seconds", "train_seconds", "sampled_tokens_per_second", "lr", "critic_lr", "grad_norm"}
"""Times, and what the arms are meant to differ in."""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints in bfloat16, as the hub has them: frozen weights will be kept in it, those that train will not."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: made.checkpoint(folder / name, name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


def first_rollouts(arm: Assembled, seed: int = 5) -> list[Rollout]:
    prompts = [[7, 8, 9, 10, 11], [12, 13], [14] * 23]
    return [rollout for group in arm.trainer.sampler.sample(prompts, 4, Sampling(24), seed=seed) for rollout in group]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("engine", ["native", "generate"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_first_rollouts_are_the_same_token_for_token(
    architecture: str, engine: str, dtype: str, checkpoints: dict[str, Path], problems: Path
) -> None:
    lora, full = (
        first_rollouts(made.assembled(checkpoints[architecture], arm, dtype, problems, rollout={"engine": engine}))
        for arm in ARMS
    )
    for ours, theirs in zip(lora, full, strict=True):
        assert torch.equal(ours.tokens_T, theirs.tokens_T)
        # `generate` hands the head a slice, and PyTorch multiplies that in another order if the head trains.
        tolerance = 1e-5 if engine == "generate" and dtype == "float32" else 0.0
        torch.testing.assert_close(ours.logprobs_T, theirs.logprobs_T, rtol=0, atol=tolerance)
        assert ours.is_truncated == theirs.is_truncated
    assert len({tuple(rollout.tokens_T.tolist()) for rollout in lora}) > 6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_first_metrics_and_log_probabilities_are_the_same(
    architecture: str, dtype: str, checkpoints: dict[str, Path], problems: Path
) -> None:
    """Through the loop itself, and on given episodes, which are not the policy's own samples."""
    arms = [made.assembled(checkpoints[architecture], arm, dtype, problems, algo=MANY) for arm in ARMS]
    losses, scores = zip(*(loss_and_logprobs(arm.trainer.learner) for arm in arms), strict=True)
    assert losses[0] == losses[1] and abs(losses[0]) > 1e-4
    assert torch.equal(*scores)
    metrics = [train_step(arm.trainer, 0) for arm in arms]
    assert metrics[0]["reward"] > 0 and metrics[0]["grad_norm"] > 0  # there was something to learn
    assert shared(metrics[0]) == shared(metrics[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algo", LOOPS)
def test_every_algorithm_takes_the_same_first_step_in_both_arms(
    algo: str, dtype: str, checkpoints: dict[str, Path], problems: Path
) -> None:
    lora, full = (
        train_step(made.assembled(checkpoints["qwen3"], arm, dtype, problems, algo=MANY | chosen).trainer, 0)
        for arm, chosen in zip(ARMS, LOOPS[algo], strict=True)
    )
    assert lora["reward"] > 0 and lora["grad_norm"] > 0
    assert shared(lora) == shared(full)


def loss_and_logprobs(learner: Learner) -> tuple[float, Tensor]:
    episodes = made.episodes()
    with learner.forward.arranged(learner.model, episodes):
        loss = learner.objective(episodes, Batch(len(episodes), 53, 12), Tally()).loss.item()
    return loss, torch.cat(learner.forward.logprobs(learner.model, episodes))


def shared(metrics: dict[str, Any]) -> dict[str, str]:
    """As text, so that nan equals nan."""
    return {name: repr(value) for name, value in metrics.items() if name not in NOT_COMPARED}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_layer_computes_in_the_same_type_in_both_arms(
    architecture: str, dtype: str, checkpoints: dict[str, Path], problems: Path
) -> None:
    """While sampling and while training; the stream between layers, products and logits have the types named here.

    While sampling on a CPU only the inside of a product is bfloat16: what comes out of it is float32.
    """
    training, sampling = [], []
    for arm in ARMS:
        parts = made.assembled(checkpoints[architecture], arm, dtype, problems)
        learner = parts.trainer.learner
        assert {weight.dtype for weight in learner.trained} == {torch.float32}
        with output_types(learner.model) as types:
            loss_and_logprobs(learner)
        types["logprobs"] = {loss_and_logprobs(learner)[1].dtype}
        training.append(types)
        with output_types(learner.model) as types:
            first_rollouts(parts)
        sampling.append(types)
    for lora, full in (training, sampling):
        assert len(full) > 20 and full.keys() == lora.keys()
        assert lora == full
    product = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    types, _ = training
    assert types["model.layers.0"] == types["model.norm"] == types["logprobs"] == {torch.float32}
    assert types["model.layers.1.self_attn.q_proj"] == types["model.layers.1.mlp"] == types["lm_head"] == {product}
    types, _ = sampling
    sampled = product if "moe" in architecture else torch.float32  # experts need autocast
    assert types["model.layers.1.self_attn.q_proj"] == types["lm_head"] == {sampled}


@contextmanager
def output_types(model: nn.Module) -> Iterator[dict[str, set[torch.dtype]]]:
    """The types of what each module of the base returns within; an adapter's wrapper goes by the name of its layer."""
    types, handles = defaultdict[str, set[torch.dtype]](set), []
    for path, module in model.named_modules():
        name = path.removeprefix("base_model.model.").replace(".base_layer", "")

        def note(_: nn.Module, args: object, output: object, name: str = name) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.is_floating_point():
                types[name].add(first.dtype)

        handles.append(module.register_forward_hook(note))
    yield types
    for handle in handles:
        handle.remove()


def test_frozen_weights_are_kept_small_and_those_that_train_are_not(
    checkpoints: dict[str, Path], problems: Path
) -> None:
    """Without this the tests above would compare float32 with float32."""
    for architecture in ARCHITECTURES:
        lora, full = (
            made.assembled(checkpoints[architecture], arm, "bfloat16", problems).trainer.learner.model for arm in ARMS
        )
        assert {weight.dtype for weight in full.parameters()} == {torch.float32}
        small = [name for name, weight in lora.named_parameters() if weight.dtype == torch.bfloat16]
        assert any("q_proj" in name for name in small) and any("mlp" in name for name in small)
        assert not any("lora_" in name or "norm" in name or "embed" in name for name in small)


@pytest.mark.parametrize("arm", ARMS)
def test_the_same_seed_gives_the_same_numbers_and_another_others(
    arm: str, checkpoints: dict[str, Path], problems: Path
) -> None:
    torch.manual_seed(99)  # a generator that others use must not matter
    first = two_steps(checkpoints["qwen3"], arm, problems, seed=3)
    torch.manual_seed(100)
    assert two_steps(checkpoints["qwen3"], arm, problems, seed=3) == first
    other = two_steps(checkpoints["qwen3"], arm, problems, seed=4)
    assert other != first
    assert other[0]["entropy"] != first[0]["entropy"]


def two_steps(model: Path, arm: str, problems: Path, seed: int) -> Sequence[dict[str, str]]:
    parts = made.assembled(model, arm, "bfloat16", problems, seed=seed)
    metrics = [shared(train_step(parts.trainer, step)) for step in range(2)]
    weights = {
        name: repr(weight.double().sum().item()) for name, weight in parts.trainer.learner.model.named_parameters()
    }
    return [*metrics, weights]


def test_rollouts_depend_on_seed_and_step_when_nothing_else_does(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """One problem, and a learning rate too small to move anything: only the random numbers are left."""
    problem = runs.problems(tmp_path / "one.jsonl", 1)
    entropies = [
        train_step(made.assembled(checkpoints["qwen3"], "full", "float32", problem, seed=seed, **STILL).trainer, step)[
            "entropy"
        ]
        for seed, step in ((3, 0), (3, 0), (4, 0), (3, 1))
    ]
    assert entropies[0] == entropies[1]
    assert len(set(entropies)) == 3
