"""One batch, float32: the loss and every gradient equal those of TRL's GRPOTrainer. Shapes: B completions, T tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from rltk.models.adapters import add_lora
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.onpolicy.objective import Batch
from rltk.recipe.schema import LoRA
from rltk.rollout.sampler import Rollout
from tests import tiny
from tests.recipes import FULL, LORA, recipe

MAX_NEW_TOKENS, TEMPERATURE, KL = 9, 0.7, 0.3
PROMPTS = (5, 3, 7, 4, 6, 2)
LENGTHS = (9, 4, 7, 1, 9, 5)
"""Tokens of each prompt and each completion; the first completion is truncated and masked."""


def policy(tune: str) -> PreTrainedModel | PeftModel:
    """The same weights at every call; the adapter's B is not zero, or the gradient of A would be."""
    model = tiny.model("qwen3")
    if tune == "full":
        return model
    adapted = add_lora(model, LoRA(rank=4))
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return adapted


def episodes(*, with_reference: bool) -> list[Episode]:
    """Old log-probabilities far enough from the policy's (about -3 a token) that many ratios are clipped."""
    generator = torch.Generator().manual_seed(2)

    def noise(count: int) -> Tensor:
        return -3 + torch.randn(count, generator=generator)

    def tokens(count: int) -> Tensor:
        return torch.randint(5, 500, (count,), generator=generator)

    return [
        Episode(
            prompt=tokens(prompt).tolist(),
            rollout=Rollout(tokens(length), noise(length), is_truncated=row == 0),
            reward=0.0,
            advantage=(-1) ** row * (0.5 + row / 4),
            is_masked=row == 0,
            old_logprobs_T=noise(length),
            reference_logprobs_T=noise(length) if with_reference else None,
        )
        for row, (prompt, length) in enumerate(zip(PROMPTS, LENGTHS, strict=True))
    ]


def pad(rows: list[Tensor], *, left: bool = False) -> Tensor:
    side = "left" if left else "right"
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)


def loss_of_trl(
    model: PreTrainedModel | PeftModel, batch: list[Episode], loss_type: str, kl: float, tmp_path: Path
) -> Tensor:
    args = GRPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        report_to="none",
        per_device_train_batch_size=len(batch),
        num_generations=len(batch),
        max_completion_length=MAX_NEW_TOKENS,
        temperature=TEMPERATURE,
        loss_type=loss_type,
        beta=kl,
        epsilon=0.2,
        epsilon_high=0.25,
        scale_rewards="none",
    )
    model.config._name_or_path = str(tiny.folder(tmp_path / "base"))  # TRL loads its reference from there
    trainer = GRPOTrainer(
        model=model,  # pyright: ignore[reportArgumentType]
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=args,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * len(batch)}),
        processing_class=tiny.tokenizer(),
    )
    trainer.current_gradient_accumulation_steps = 1
    model.train()
    mask_BT = pad([torch.full((len(e.tokens_T),), 0 if e.is_masked else 1) for e in batch])
    inputs: dict[str, Any] = {
        "prompt_ids": pad([torch.tensor(e.prompt) for e in batch], left=True),
        "prompt_mask": pad([torch.ones(len(e.prompt), dtype=torch.long) for e in batch], left=True),
        "completion_ids": pad([e.tokens_T for e in batch]),
        "completion_mask": mask_BT,
        "advantages": torch.tensor([e.advantage for e in batch]),
        "old_per_token_logps": pad([e.old_logprobs_T for e in batch if e.old_logprobs_T is not None]),
        "num_items_in_batch": mask_BT.sum(),
    }
    if kl:
        inputs["ref_per_token_logps"] = pad(
            [e.reference_logprobs_T for e in batch if e.reference_logprobs_T is not None]
        )
    return trainer._compute_loss(trainer.model_wrapped, inputs)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("packs", [False, True], ids=["rows", "packed"])
@pytest.mark.parametrize("kl", [0.0, KL])
@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("tune", ["lora", "full"])
def test_loss_and_every_gradient_equal_trl(tune: str, loss_type: str, kl: float, packs: bool, tmp_path: Path) -> None:
    batch = episodes(with_reference=kl > 0)
    theirs, ours = policy(tune), policy(tune)
    loss = loss_of_trl(theirs, batch, loss_type, kl, tmp_path)
    loss.backward()

    algo = {"loss": loss_type, "kl": kl, "clip_low": 0.2, "clip_high": 0.25, "importance_cap": None}
    rollout = {"max_new_tokens": MAX_NEW_TOKENS, "temperature": TEMPERATURE}
    learner = Learner(recipe(algo=algo, rollout=rollout, tune=LORA if tune == "lora" else FULL), ours, lr=1e-3)
    trained = [episode for episode in batch if learner.teaches(episode)]
    tally, counts = Tally(), Batch(len(batch), sum(e.trained_tokens for e in batch), MAX_NEW_TOKENS)
    # Two micro-batches: their losses add up to the whole batch's.
    learner.forward.can_pack = packs
    objectives = []
    for part in (trained[:2], trained[2:]):
        with learner.forward.arranged(ours, part):
            objectives.append(learner.objective(part, counts, tally))
            objectives[-1].loss.backward()

    total = objectives[0].loss + objectives[1].loss
    assert total.item() == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    assert sum(objective.clipped.item() for objective in objectives) > 3
    expected, found = gradients(theirs), gradients(ours)
    if tune == "lora" and kl:  # TRL puts a frozen copy of the adapter beside it, as reference
        expected = {name: gradient for name, gradient in expected.items() if ".ref." not in name}
    assert found.keys() == expected.keys()
    assert len(found) > 10
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")
