"""Configurations in which `rltk plan` is compared with what happens: models of Qwen3's shape with random weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.record import device
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.scoring import packs_faithfully
from rltk.plan.arms import Subject
from rltk.plan.memory import Layout
from rltk.plan.shape import shape_of
from rltk.plan.workload import Assumed, workload_of
from rltk.recipe.schema import LoRA, Recipe

PROMPT, RANK = 32, 8


@dataclass(frozen=True)
class Point:
    name: str = "base"
    algo: str = "grpo"
    tune: str = "lora"
    dtype: str = "bfloat16"
    hidden: int = 256
    layers: int = 4
    vocabulary: int = 4096
    prompts: int = 8
    """Prompts, examples or pairs a step."""
    group: int = 4
    length: int = 64
    checkpointing: bool = False
    kl: float = 0.0
    micro_tokens: int = 16384

    @property
    def is_offline(self) -> bool:
        return self.algo in ("sft", "dpo")


def points() -> Iterator[Point]:
    """Every algorithm with LoRA and in full, with and without checkpointing; GRPO in other sizes and in float32 too."""
    sizes = [
        Point("grpo"),
        Point("ppo", algo="ppo", group=2, prompts=16, kl=0.05),
        Point("sft", algo="sft", prompts=32),
        Point("dpo", algo="dpo", prompts=16),
        Point("grpo-wide", hidden=512, layers=3),
        Point("grpo-long", length=256, prompts=2),
        Point("grpo-reference", kl=0.04, vocabulary=8192),
        Point("grpo-float32", dtype="float32"),
    ]
    for point in sizes:
        for tune in ("lora", "full"):
            for checkpointing in (False, True):
                ending = "-checkpointing" if checkpointing else ""
                yield replace(point, name=f"{point.name}-{tune}{ending}", tune=tune, checkpointing=checkpointing)


def subject(point: Point, path: str = "embedded/policy") -> Subject:
    """`path` is read by what times a step, and by nothing else."""
    shape, chosen = shape_of(config(point).to_dict()), recipe(point, path)
    assert shape is not None
    return Subject(chosen, shape, workload_of(chosen, Assumed(PROMPT)), Layout(device=device().type))


def config(point: Point) -> Qwen3Config:
    heads = max(2, point.hidden // 64)
    return Qwen3Config(
        vocab_size=point.vocabulary,
        hidden_size=point.hidden,
        intermediate_size=3 * point.hidden,
        num_hidden_layers=point.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )


def recipe(point: Point, path: str = "embedded/policy") -> Recipe:
    algo = {"batch": point.prompts, "max_length": PROMPT + point.length}
    if not point.is_offline:
        algo = {"prompts": point.prompts, "group": point.group, "kl": point.kl}
    return Recipe.model_validate(
        {
            "name": "plan",
            "model": {"path": path, "dtype": point.dtype, "gradient_checkpointing": point.checkpointing},
            "data": {"path": "embedded/dialogues" if point.algo == "dpo" else "embedded/word-problems"},
            "algo": {"type": point.algo, **algo},
            "tune": {"type": "lora", "rank": RANK} if point.tune == "lora" else {"type": "full"},
            "optim": {"lr": 1e-6, "micro_tokens": point.micro_tokens, "steps": 3},
            "eval": {"every": 1},
            **({} if point.is_offline else {"rollout": {"max_new_tokens": point.length}}),
        }
    )


def build(point: Point) -> tuple[nn.Module, bool]:
    """The model as a run has it, and whether it may be packed, which is tried before frozen weights shrink."""
    base = random_base(point)
    can_pack = device().type == "cpu" and packs_faithfully(base)
    if point.tune == "full":
        return base, can_pack
    adapted = add_lora(base, LoRA(rank=RANK))
    if point.dtype == "bfloat16":
        shrink_frozen(adapted)
    return adapted, can_pack


def random_base(point: Point) -> Qwen3ForCausalLM:
    """Random weights that bfloat16 holds exactly, as a checkpoint's would be."""
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config(point)).bfloat16().float().to(device()).eval()  # pyright: ignore[reportArgumentType]
    if point.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model
