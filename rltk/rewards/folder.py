"""Where a reward model lies that a recipe names: a run, or the folder of a model or adapter."""

from pathlib import Path

from rltk.errors import UserError
from rltk.recipe.locate import expanded, near_file
from rltk.run.folder import read_manifest, resume_command


class NotThereError(UserError):
    """There is no reward model yet, where there may be one later."""


def reward_folder(path: str, key: str) -> Path:
    """The folder with its weights; `key` is the recipe's, for the error."""
    place = expanded(path)
    if not place.is_dir():
        raise NotThereError(f"{key} = {path} does not exist{near_file(place)}")
    if not (place / "manifest.json").is_file():
        return place
    algo = read_manifest(place)["recipe"].get("algo", {}).get("type")
    if algo != "reward_model":
        raise UserError(f"{key} = {path} is a run of algo.type {algo}, and none that trained a reward model.")
    if not (place / "model").is_dir():
        raise NotThereError(f"{key} = {path} is a run that has no model yet; finish it with: {resume_command(place)}")
    return place / "model"
