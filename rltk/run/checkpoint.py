"""Checkpoints: trained weights and optimizer state as safetensors, progress as JSON, and a list of these files with
their hashes. Nothing is pickled.

Every random draw of a step is seeded by the run's seed and the step, so a checkpoint needs no generator state.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rltk.errors import UserError
from rltk.run.atomic import new_folder, remove_folder, write_json
from rltk.run.whole import seal


class Progress(NamedTuple):
    step: int
    """Steps done."""
    tokens: int
    """Completion tokens sampled so far."""
    kl: float | None = None
    """Weight of the KL divergence by now, which PPO's controller moves; None before the first step."""


class Stored(Protocol):
    """What a checkpoint reads and writes of an optimizer: its state by weight."""

    @property
    def state(self) -> Any: ...


class Checkpoint(NamedTuple):
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    progress: Progress


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that train, each once (tied weights share one), as contiguous CPU tensors."""
    return {
        name: weight.detach().cpu().contiguous() for name, weight in model.named_parameters() if weight.requires_grad
    }


def save_checkpoint(folder: Path, model: nn.Module, optimizer: Stored, progress: Progress, *, keep: int) -> Path:
    """Writes `folder/step-<n>` whole or not at all, then deletes all but the newest `keep`."""
    path = folder / f"step-{progress.step:06d}"
    with new_folder(path) as beside:
        save_file(trained_weights(model), beside / "weights.safetensors")
        save_file(optimizer_tensors(model, optimizer), beside / "optimizer.safetensors")
        write_json(beside / "progress.json", progress._asdict())
        seal(beside)
    for old in list_checkpoints(folder)[:-keep]:
        remove_folder(old)
    return path


def load_checkpoint(path: Path, model: nn.Module, optimizer: Stored) -> Progress:
    """Puts the trained weights and the optimizer's state back; a checkpoint of another model is refused."""
    parameters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    saved = read_checkpoint(path)
    if shapes(saved.weights) != shapes(parameters):
        raise UserError(f"{path} holds the weights of another model or adapter; resume with the recipe it was made by.")
    with torch.no_grad():
        for name, weight in parameters.items():
            weight.copy_(saved.weights[name])
    restore_optimizer(optimizer, parameters, saved.optimizer)
    return saved.progress


def read_checkpoint(path: Path) -> Checkpoint:
    try:
        return Checkpoint(
            weights=load_file(path / "weights.safetensors"),
            optimizer=load_file(path / "optimizer.safetensors"),
            progress=Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8"))),
        )
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to go on from the checkpoint before it.") from error


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that took their name, oldest first; whether they are still whole, `rltk.run.whole` tells."""
    return sorted((path for path in folder.glob("step-*") if path.name[5:].isdecimal()), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Steps done when it was written."""
    return int(checkpoint.name.removeprefix("step-"))


def optimizer_tensors(model: nn.Module, optimizer: Stored) -> dict[str, Tensor]:
    """The optimizer's state under `<parameter>/<key>`, for example `...lora_A.default.weight/exp_avg`."""
    return {
        f"{name}/{key}": value.detach().cpu().contiguous()
        for name, weight in model.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def restore_optimizer(optimizer: Stored, parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    for entry, value in tensors.items():
        name, _, key = entry.rpartition("/")
        weight = parameters[name]
        # Adam counts its steps in a tensor that stays on the CPU.
        optimizer.state[weight][key] = value.clone() if key == "step" else value.to(weight.device)
