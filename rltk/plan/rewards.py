"""The reward models that a recipe names, counted from the headers of their files: no weights are read."""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path

from rltk.errors import UserError
from rltk.evaluation.target import adapter_base
from rltk.export.source import base_location
from rltk.plan.config import find_shape
from rltk.plan.count import adapter_parameters
from rltk.plan.roles import headless
from rltk.plan.shape import Shape
from rltk.plan.workload import RewardRole
from rltk.recipe.schema import LoRA, ModelReward, Recipe
from rltk.rewards.folder import NotThereError, reward_folder

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def reward_roles(recipe: Recipe, shape: Shape) -> tuple[tuple[RewardRole, ...], tuple[str, ...]]:
    """What each holds, and what is taken for granted of those that are not there yet."""
    found, notes = list[RewardRole](), list[str]()
    for name, reward in recipe.rewards.items():
        if isinstance(reward, ModelReward):
            try:
                folder = reward_folder(reward.path, f"rewards.{name}.path")
            except NotThereError:
                notes.append(f"rewards.{name}.path = {reward.path} holds no model yet: planned as a LoRA of the policy")
                found.append(RewardRole(f"reward {name}", None, default_adapter(recipe, shape)))
            else:
                found.append(read_role(f"reward {name}", f"rewards.{name}.path", folder, recipe))
    return tuple(found), tuple(notes)


def default_adapter(recipe: Recipe, shape: Shape) -> int:
    tune = recipe.tune if isinstance(recipe.tune, LoRA) else LoRA()
    return adapter_parameters(shape, tune) + shape.hidden


def read_role(name: str, key: str, folder: Path, recipe: Recipe) -> RewardRole:
    try:
        if not (folder / CONFIG).is_file():
            return RewardRole(name, sum(parameters(file) for file in sorted(folder.glob("*.safetensors"))), 0)
        base = adapter_base(folder)
        adapter = parameters(folder / ADAPTER)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{key} = {folder}: its files are no reward model's ({error!r}); save it again.") from error
    # By name: whether the weights are the same too is seen when a run loads them.
    if base_location(base.path) == base_location(recipe.model.path):
        return RewardRole(name, None, adapter)
    return RewardRole(name, headless(find_shape(base)), adapter)


def parameters(file: Path) -> int:
    """Numbers in a safetensors file, by the JSON at its beginning, whose length is its first eight bytes."""
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(prod(tensor["shape"]) for tensor in tensors(header))


def tensors(header: dict[str, dict[str, list[int]]]) -> Iterator[dict[str, list[int]]]:
    return (tensor for name, tensor in header.items() if name != "__metadata__")
