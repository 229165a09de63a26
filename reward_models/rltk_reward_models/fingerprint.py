"""Which weights these are: so that an adapter meets its own base, and a client notices another model."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from rltk_reward_models.base_file import Base, write_base
from rltk_reward_models.quantized import kind_of

HEADS = ("score", "classifier", "lm_head")
SAMPLE = 65_536


def weights_fingerprint(weights: Iterable[tuple[str, Tensor]], dtype: torch.dtype = torch.float32) -> str:
    """SHA-256 of names, shapes and up to 65,536 evenly spaced values of each tensor, as `dtype`.

    A sample, because every tensor of a model that was trained further has changed nearly everywhere, and hashing all
    of a large one takes longer than loading it.
    """
    digest = sha256()
    for name, weight in sorted(weights, key=lambda pair: pair[0]):
        values = weight.detach().reshape(-1)
        sample = values[:: -(-values.numel() // SAMPLE) or 1].to("cpu", dtype).contiguous()
        digest.update(f"{name} {tuple(weight.shape)}\n".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def base_fingerprint(model: nn.Module) -> str:
    """Of the frozen base in `model`, with or without a PEFT adapter on it, without any head.

    Of the values rounded to bfloat16, so that it does not matter whether float32 or bfloat16 was loaded.
    """
    found = ((_plain_name(name), weight) for name, weight in model.named_parameters())
    return weights_fingerprint(((name, weight) for name, weight in found if name is not None), torch.bfloat16)


def base_of(model: nn.Module) -> Base:
    """The frozen base in `model`, as it is now."""
    return Base(base_fingerprint(model), kind_of(model))


def record_base(model: nn.Module, folder: Path) -> None:
    """Writes base.json into an adapter's folder; with it the scorer refuses any other base, even of the same shape."""
    write_base(folder, base_of(model))


def _plain_name(name: str) -> str | None:
    """A parameter's name in the base model; None for parts of an adapter or head."""
    parts = [part for part in name.removeprefix("base_model.model.").split(".") if part != "base_layer"]
    is_added = parts[0] in HEADS or any(part.startswith("lora_") or part == "modules_to_save" for part in parts)
    return None if is_added else ".".join(parts)
