"""The bytes that tensors of a training step take, counted as PyTorch makes them, against what the shape predicts."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from trl.kernels import ChunkedLogProbFunction, chunked_logprob
from trl.trainer import utils

from rltk.models import scoring
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.scoring import packs_faithfully
from rltk.onpolicy import forward
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner, Tally
from rltk.plan import activations, memory, workload
from rltk.plan.memory import FLOAT, Layout, Memory, plan_memory, training_copies
from rltk.plan.shape import Shape, shape_of
from rltk.plan.workload import Assumed, Workload, workload_of
from rltk.recipe.schema import LoRA, Recipe
from rltk.rollout import cache, lean
from rltk.rollout.sampler import Rollout
from tests import tiny
from tests.onpolicy.test_costs import Allocated
from tests.recipes import FULL, LORA, recipe

PROMPT, COMPLETION, PROMPTS, GROUP = 16, 48, 4, 4
SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "vocab_size": 2048,
    "tie_word_embeddings": True,
}


def chosen(arm: str, checkpointing: bool, dtype: str) -> Recipe:
    return recipe(
        model={"dtype": dtype, "gradient_checkpointing": checkpointing},
        algo={"prompts": PROMPTS, "group": GROUP},
        tune=LORA if arm == "lora" else FULL,
        rollout={"max_new_tokens": COMPLETION},
    )


def planned(recipe: Recipe) -> tuple[Shape, Workload, Memory]:
    shape = shape_of(tiny.model("qwen3", **SIZES).config.to_dict())
    assert shape is not None
    work = workload_of(recipe, Assumed(PROMPT))
    return shape, work, plan_memory(shape, recipe.tune, work, Layout(device="cpu"))


def trained(recipe: Recipe, can_pack: bool) -> int:
    """Bytes at the peak of the gradient of a whole step, above weights and optimizer."""
    base = tiny.model("qwen3", **SIZES, initializer_range=0.02)
    base = base.bfloat16().float()  # pyright: ignore[reportArgumentType]
    assert packs_faithfully(base)
    if recipe.model.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
    model: nn.Module = base.requires_grad_(True)
    if isinstance(recipe.tune, LoRA):
        model = add_lora(base, recipe.tune)
        if recipe.model.dtype == "bfloat16":
            shrink_frozen(model)
    made = Learner(recipe, model, lr=1e-3, can_pack=can_pack)
    made.model.train()
    rollout = Rollout(torch.arange(COMPLETION) + 5, torch.full((COMPLETION,), -7.0), is_truncated=False)
    prompts = [[p + 1] * PROMPT for p in range(PROMPTS)]
    with Allocated() as held:
        made.accumulate(
            [Episode(prompt, rollout, 0.0, 1.0, False) for prompt in prompts for _ in range(GROUP)], Tally()
        )
    return held.peak


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("arm", ["lora", "full"])
@pytest.mark.parametrize("can_pack", [True, False], ids=["packed", "rows"])
def test_training_takes_what_is_predicted(arm: str, checkpointing: bool, dtype: str, can_pack: bool) -> None:
    made = chosen(arm, checkpointing, dtype)
    shape, work, _ = planned(made)
    found = plan_memory(shape, made.tune, work, Layout(device="cpu" if can_pack else "cuda")).training
    predicted = found.gradients + found.activations + found.logits + training_copies(shape, made.tune, work)
    measured = trained(made, can_pack)
    assert predicted == pytest.approx(measured, rel=0.15), f"{predicted / measured:.2f}"


@pytest.mark.parametrize("tune", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_trls_head_takes_what_is_predicted(tune: dict[str, Any], dtype: torch.dtype) -> None:
    """Its tile, what it is folded with without Triton, and the gradients; the vocabulary is as wide as the tile."""
    shape, *_ = planned(recipe(tune=tune))
    batch = workload.MicroBatch(8, 8, workload.Lengths(PROMPT, COMPLETION), False)
    hidden = torch.randn(batch.tokens, shape.hidden, requires_grad=True)
    head = torch.randn(shape.vocabulary, shape.hidden, requires_grad=tune is FULL)
    targets = torch.randint(shape.vocabulary, (batch.tokens,))
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32), Allocated() as held:
        outputs = ("entropy", "is_top1")
        made = ChunkedLogProbFunction.apply(hidden, head, None, targets, 1.0, shape.vocabulary, None, 1.0, outputs)
        made[0].sum().backward()
    predicted = activations.fused_bytes(shape, recipe(tune=tune).tune, batch, dtype.itemsize, on_cpu=True)
    assert predicted == pytest.approx(held.peak, rel=0.1), f"{predicted / held.peak:.2f}"


def test_who_trains_has_whose_head() -> None:
    """A reward model has no logits over a vocabulary; nothing of TRL's head is kept in rltk's own training."""
    heads = {}
    for algo in ("grpo", "ppo", "sft", "dpo", "reward_model"):
        data = {"path": "embedded/word-problems", "size": 64}
        chosen = Recipe.model_validate(
            {"name": "x", "model": {"path": "embedded/policy"}, "data": data, "algo": {"type": algo}, "tune": LORA}
        )
        work = workload_of(chosen, Assumed(PROMPT, COMPLETION))
        shape, _, _ = planned(recipe())
        found = plan_memory(shape, chosen.tune, work, Layout())
        heads[algo] = (work.head, found.training.logits > 0)
    assert heads == {
        "grpo": ("chunks", True),
        "ppo": ("chunks", True),
        "sft": ("fused", True),
        "dpo": ("fused", True),
        "reward_model": ("none", False),
    }


def test_numbers_that_stand_where_torch_is_imported_are_the_plans_too() -> None:
    assert workload.MOST_PACKED_SCORES == forward.MOST_SCORES
    assert (activations.LOGITS, activations.ARRAYS) == (scoring.CHUNK, scoring.ARRAYS)
    assert memory.FIRST_COLUMNS == cache.FIRST_COLUMNS
    assert memory.SMALL_MATRIX == lean.SMALL
    assert activations.FUSED_TOKENS == chunked_logprob.TOKEN_CHUNK_SIZE
    assert activations.FUSED_COLUMNS == utils._CHUNKED_LOGPROB_CHUNK_SIZE


def test_what_does_not_sample_holds_no_cache() -> None:
    """Nor is its peak anywhere but in training."""
    shape, work, _ = planned(chosen("full", False, "float32"))
    offline = replace(work, is_sampled=False)
    found = plan_memory(shape, chosen("full", False, "float32").tune, offline, Layout())
    assert found.sampling.kv_cache == 0 and found.phase == "training"


def test_a_cache_by_hand() -> None:
    """Float32 on CPUs: 4 layers, a key head of 64, 4 prompts of 16 tokens, 16 rows with room for 64, a layer twice."""
    shape, work, found = planned(chosen("lora", False, "bfloat16"))
    a_token = 2 * 4 * 64 * FLOAT
    assert found.sampling.kv_cache == a_token * (4 * 16 + 16 * 64) + a_token / 4 * 16 * 64
    assert memory.cache_bytes(shape, work, Layout()) == found.sampling.kv_cache / 2
