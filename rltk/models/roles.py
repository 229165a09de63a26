"""Roles on one base: the adapters of policy, critic and reward model beside one copy of the weights.

An adapter of a reward model fits if it was trained on the very weights that the policy has, which `base.json` in its
folder tells (`rltk_reward_models.fingerprint`). Shapes: H hidden size.
"""

import copy
from pathlib import Path
from typing import NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from rltk_reward_models.base_file import read_base
from rltk_reward_models.fingerprint import base_fingerprint
from rltk_reward_models.loading import read_adapter
from torch import Tensor, nn

from rltk.errors import UserError
from rltk.models.bases import changes_base

POLICY, VALUE = "default", "critic"
"""Names of adapters, as PEFT has them."""


class Role(NamedTuple):
    """An adapter of a base that others share, and its scalar head."""

    name: str
    weights: list[nn.Parameter]
    """Of the adapter; none train until they are told to."""
    head: nn.Linear


class SavedRole(NamedTuple):
    """A reward model's adapter as its folder has it."""

    folder: Path
    config: LoraConfig
    weights: dict[str, Tensor]
    head_1H: Tensor
    pad: int | None
    """The token that its score is never read at, even where it is the end token; None: what the base pads with."""
    most: int | None
    """Tokens that it reads, the last ones; None: all."""


def new_head(hidden_size: int, device: torch.device) -> nn.Linear:
    """A scalar of the last hidden state that is zero at first, whatever the seed: what is not known is not guessed."""
    head = nn.Linear(hidden_size, 1, bias=False, device=device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    return head


def add_role(model: PeftModel, name: str, saved: SavedRole | None = None) -> Role:
    """Another adapter on the model's base: a fresh one of the policy's form, or that of a reward model."""
    before = trainable(model)
    config = copy.deepcopy(model.peft_config[POLICY]) if saved is None else as_causal(saved.config)
    try:
        model.add_adapter(name, config)
    except ValueError as error:
        raise UserError(f"the {name} adapter does not go on the policy's base: {error}") from error
    for weight in model.parameters():
        weight.requires_grad_(id(weight) in before)  # PEFT decides anew what trains
    weights = [weight for part, weight in model.named_parameters() if "lora_" in part and f".{name}." in part]
    head = new_head(model.config.get_text_config().hidden_size, weights[0].device)
    if saved is not None:
        fill(model, name, saved)
        head.weight.data.copy_(saved.head_1H)
    return Role(name, weights, head.requires_grad_(False))


def fits(model: nn.Module, folder: Path) -> bool:
    """Whether the folder holds an adapter that was trained on the weights of this model's base."""
    if not isinstance(model, PeftModel) or not (folder / "adapter_config.json").is_file():
        return False
    recorded = read_base(folder).fingerprint
    return recorded is not None and recorded == base_fingerprint(model)


def read_role(folder: Path, *, trust_remote_code: bool = False) -> SavedRole | None:
    """None where it is more than a LoRA and a head beside the base as it is. ValueError where it is no reward model."""
    found = read_adapter(folder, trust_remote_code=trust_remote_code)
    if not isinstance(found.config, LoraConfig) or changes_base(found.config.init_lora_weights):
        return None
    if not all("lora_" in name for name in found.weights):
        return None
    return SavedRole(folder, found.config, found.weights, found.head, found.pad, found.most)


def as_causal(config: LoraConfig) -> LoraConfig:
    """The form of the adapter alone: the model it is put on has no score head."""
    copied = copy.deepcopy(config)
    copied.task_type, copied.modules_to_save, copied.inference_mode = "CAUSAL_LM", None, False
    return copied


def fill(model: PeftModel, name: str, saved: SavedRole) -> None:
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    shapes, found = ({key: value.shape for key, value in weights.items()} for weights in (expected, saved.weights))
    if shapes != found:
        odd = next(key for key in (*found, *shapes) if shapes.get(key) != found.get(key))
        raise UserError(f"{saved.folder}: its adapter does not fit the policy's base, which differs at {odd}.")
    set_peft_model_state_dict(model, saved.weights, adapter_name=name)


def trainable(model: nn.Module) -> set[int]:
    return {id(weight) for weight in model.parameters() if weight.requires_grad}
