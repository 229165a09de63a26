"""Folders of tiny random reward models, whole and as adapters, as training leaves them."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from rltk_reward_models.fingerprint import record_base
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from tests import tiny

ARCHITECTURES = ("qwen2", "llama", "gpt_neox")


def classifier(architecture: str = "qwen2", *, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Random weights in float32, larger than usual so that scores differ."""
    tokens = tiny.tokenizer()
    shape: dict[str, Any] = {key: value for key, value in tiny.SHAPE.items() if key != "head_dim"}
    common: dict[str, Any] = {
        **shape,
        "vocab_size": len(tokens),
        "pad_token_id": tokens.pad_token_id,
        "num_labels": 1,
        "initializer_range": 0.2,
        **changes,
    }
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(architecture, **common)).eval()


def whole(folder: Path, architecture: str = "qwen2", **changes: Any) -> Path:
    classifier(architecture, **changes).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def adapted(base: Path, *, seed: int = 0, **changes: Any) -> PeftModel:
    """A LoRA with random numbers, so that it changes every score, on a causal language model's folder."""
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model.config.pad_token_id = tiny.tokenizer().pad_token_id
    config: dict[str, Any] = {"task_type": "SEQ_CLS", "r": 4, "target_modules": ["q_proj", "v_proj"], **changes}
    peft_model = get_peft_model(model, LoraConfig(**config))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in peft_model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    assert isinstance(peft_model, PeftModel)
    return peft_model.eval()


def adapter(folder: Path, base: Path, *, seed: int = 0, **changes: Any) -> Path:
    model = adapted(base, seed=seed, **changes)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    tiny.tokenizer().save_pretrained(folder)
    record_base(model, folder)
    return folder
