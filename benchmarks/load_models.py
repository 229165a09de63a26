"""What the servers under load serve: small models of random weights, since it is the servers that are under load."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from rltk.export.source import base_location
from rltk.models.adapters import add_lora
from rltk.models.load import load_tokenizer, load_weights
from rltk.models.save import write_adapter
from rltk.recipe.schema import LoRA, Model

POLICY = "embedded/policy"
SCALE = 0.1
"""Of the weights that an adapter would begin with as zeros: enough to change what is written."""


def adapter(folder: Path, *, seed: int) -> Path:
    """An adapter of the policy that comes with rltk."""
    torch.manual_seed(seed)
    adapted = add_lora(load_weights(Model(path=POLICY, dtype="float32"), torch.device("cpu")), LoRA(rank=8))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=SCALE)
    write_adapter(adapted, folder)
    return folder


def reward_model(folder: Path) -> Path:
    tokenizer = load_tokenizer(Model(path=POLICY))
    small = {"num_hidden_layers": 1, "layer_types": ["full_attention"], "hidden_size": 64, "intermediate_size": 128}
    config = AutoConfig.from_pretrained(
        base_location(POLICY), num_labels=1, pad_token_id=tokenizer.pad_token_id, **small
    )
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
