"""From what a person types to a recipe file: a path, or the name of a recipe that comes with rltk."""

from __future__ import annotations

import os
from pathlib import Path

from rltk.errors import UserError, nearest, suggestion

PACKAGE = Path(__file__).resolve().parent.parent
EMBEDDED_MODELS = ("embedded/policy", "embedded/policy-128", "embedded/policy-64")
"""Names of the models that come with rltk, which are places in its package, too."""
SUFFIXES = (".yaml", ".yml")


def shipped_folder() -> Path:
    """Inside the package when installed from a wheel, beside it in a checkout."""
    inside = PACKAGE / "_recipes"
    return inside if inside.is_dir() else PACKAGE.parent / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with rltk, by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.yaml"))}


def find_recipe(path_or_name: str) -> Path:
    """The file meant; a file that exists goes before a shipped recipe of that name."""
    path = expanded(path_or_name)
    if os.path.isfile(path):
        return path
    if os.path.isdir(path):
        raise UserError(f"{path_or_name} is a folder; name the recipe file in it.")
    if path.suffix not in SUFFIXES and len(path.parts) == 1:
        return shipped_recipe(path_or_name)
    raise UserError(f"{path_or_name} does not exist{near_file(path)}")


def shipped_recipe(name: str) -> Path:
    recipes = shipped_recipes()
    if name not in recipes:
        ending = suggestion(name, list(recipes), otherwise="they are")
        raise UserError(f"{name} is neither a file nor one of the recipes that come with rltk; {ending}")
    return recipes[name]


def embedded_folder(model: str) -> Path | None:
    """Of a model that comes with rltk; None for any other."""
    return PACKAGE / model if model in EMBEDDED_MODELS else None


def embedded_name(folder: str) -> str | None:
    """Of a model that comes with rltk, wherever rltk was when the folder was written down; None for any other."""
    parts = Path(folder).parts[-3:]
    return next((name for name in EMBEDDED_MODELS if parts == (PACKAGE.name, *name.split("/"))), None)


def expanded(path: str) -> Path:
    """The path with ~ filled in; like os.path.isfile, and unlike Path's methods, this does not raise on odd names."""
    return Path(os.path.expanduser(path))


def near_file(path: Path) -> str:
    """The end of a sentence about a file that is not there: the nearest name in its folder, if any."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f": there is no folder {path.parent}."
    match = nearest(path.name, names)
    return f"; did you mean {path.parent / match}?" if match else "."


def shown(path: Path) -> str:
    """The path as a message should have it: from here, where it is under here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
