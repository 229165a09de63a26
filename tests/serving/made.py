"""A tiny base with four adapters that differ in all that adapters differ in; and what each gives alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from rltk.models.save import save_model
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Rollout, Sampling
from tests import tiny

ATTENTION, MLP = ["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]
KINDS: dict[str, dict[str, Any]] = {
    "all": {"r": 4, "lora_alpha": 16, "target_modules": [*ATTENTION, *MLP]},
    "attention": {"r": 2, "lora_alpha": 7.5, "target_modules": ATTENTION},
    "patterns": {
        "r": 3,
        "target_modules": MLP,
        "rank_pattern": {"up_proj": 1},
        "alpha_pattern": {"down_proj": 20},
    },
    "stabilized": {"r": 4, "lora_alpha": 6, "target_modules": ["v_proj", "up_proj"], "use_rslora": True},
}


def adapter(base: Path, path: Path, *, seed: int, **config: Any) -> Path:
    """The folder of an adapter that changes what the base writes."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **config))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    assert isinstance(adapted, PeftModel)
    save_model(adapted, tiny.tokenizer(), path)
    return path


def family(folder: Path) -> dict[str, Path]:
    """`base` and its adapters, by name."""
    base = tiny.folder(folder / "base")
    kinds = {
        name: adapter(base, folder / name, seed=seed, **config) for seed, (name, config) in enumerate(KINDS.items(), 1)
    }
    return {"base": base, **kinds}


def alone(
    folders: dict[str, Path], name: str, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling, *, seed: int = 0
) -> list[list[Rollout]]:
    """What the native engine samples from this model, with PEFT's own adapter and nobody else in the batch."""
    model: nn.Module = AutoModelForCausalLM.from_pretrained(folders["base"], dtype=torch.float32).eval()
    if name != "base":
        model = PeftModel.from_pretrained(model, str(folders[name])).eval()  # pyright: ignore[reportArgumentType]
    stop = tiny.tokenizer().eos_token_id
    assert isinstance(stop, int)
    sampler = NativeSampler(model, stops=(stop,), batch=None, dtype=torch.float32)
    return sampler.sample(prompts, n, sampling, seed=seed)
