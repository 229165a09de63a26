"""Which weights these are: so that an adapter meets its own base, and a client notices another model."""

import json
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from rltk_reward_models.quantized import NF4, kind_of

HEADS = ("score", "classifier", "lm_head")
BASE_FILE = "base.json"
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


def record_base(model: nn.Module, folder: Path) -> None:
    """Writes base.json into an adapter's folder; with it the scorer refuses any other base, even of the same shape."""
    beside = folder / f".{BASE_FILE}.writing"
    found = {"sha256_of_bfloat16_sample": base_fingerprint(model)}
    if (kind := kind_of(model)) is not None:
        found["quantize"] = kind
    beside.write_text(json.dumps(found) + "\n", encoding="utf-8")
    os.replace(beside, folder / BASE_FILE)


def recorded_base(folder: Path) -> str | None:
    """The fingerprint that `record_base` left; None where there is none."""
    return recorded(folder)[0]


def recorded_quantization(folder: Path) -> str | None:
    """What the base was held in when the adapter was trained; None where that was its numbers, or is not known."""
    return recorded(folder)[1]


def recorded(folder: Path) -> tuple[str | None, str | None]:
    file = folder / BASE_FILE
    if not file.is_file():
        return None, None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        kind = found.get("quantize")
        if kind not in (None, NF4):
            raise ValueError(f"quantize is {kind!r:.40}")
        return str(found["sha256_of_bfloat16_sample"]), kind
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}); save the reward model again") from error


def _plain_name(name: str) -> str | None:
    """A parameter's name in the base model; None for parts of an adapter or head."""
    parts = [part for part in name.removeprefix("base_model.model.").split(".") if part != "base_layer"]
    is_added = parts[0] in HEADS or any(part.startswith("lora_") or part == "modules_to_save" for part in parts)
    return None if is_added else ".".join(parts)
