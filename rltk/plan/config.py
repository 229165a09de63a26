"""A model's shape, and its config.json: from a folder, rltk itself, the table of known models, or the hub."""

import json
from pathlib import Path
from typing import Any

from rltk.errors import UserError
from rltk.hub import seek_hub
from rltk.plan.known import KNOWN
from rltk.plan.shape import Shape, shape_of
from rltk.recipe.locate import embedded_folder, expanded
from rltk.recipe.schema import Model


def find_shape(model: Model) -> Shape:
    """From the config where its family is known, at once; from transformers' own build elsewhere, in seconds."""
    shape = shape_of(read_config(model))
    if shape is None:
        from rltk.models.shapes import built_shape

        return built_shape(model)
    return shape


def read_config(model: Model) -> dict[str, Any]:
    """What is at hand goes first; the hub is asked last, and its cache before the network."""
    found = config_at_hand(model)
    return read_json(model, download(model)) if found is None else found


def config_at_hand(model: Model) -> dict[str, Any] | None:
    """A folder's goes before that of a known model of its name."""
    folder = embedded_folder(model.path) or expanded(model.path)
    if folder.is_dir():
        return read_json(model, folder / "config.json")
    if model.revision is None and model.path in KNOWN:
        return KNOWN[model.path]
    return None


def shape_at_hand(model: Model) -> Shape | None:
    """From a config that is on this machine or in the table; None for one that would have to be asked for or built."""
    config = config_at_hand(model) if model.revision is None else None
    return None if config is None else shape_of(config)


def read_json(model: Model, path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise refusal(model, error) from error
    if not isinstance(config, dict):
        raise refusal(model, ValueError("it is no JSON object"))
    return config


def download(model: Model) -> Path:
    from huggingface_hub import hf_hub_download  # its import takes longer than all else here

    seek_hub()

    try:
        return Path(hf_hub_download(model.path, "config.json", revision=model.revision))
    except (OSError, ValueError) as error:  # what the hub's client raises derives from these
        raise refusal(model, error) from error


def refusal(model: Model, error: Exception) -> UserError:
    first_line = str(error).strip().split("\n")[0]
    return UserError(
        f"model.path = {model.path!r}: its config.json could not be read ({first_line}); "
        "give a folder that holds it, or a hub id while online."
    )
