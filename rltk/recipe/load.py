"""From a recipe file to a validated recipe: YAML, then a profile on top, then what the command line says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from rltk.errors import RecipeError, suggestion
from rltk.recipe.accelerator import is_accelerator_visible
from rltk.recipe.arithmetic import dtype_here
from rltk.recipe.explain import Complaint, refusal, validate
from rltk.recipe.implied import with_types
from rltk.recipe.locate import find_recipe, shown
from rltk.recipe.paths import absent_paths
from rltk.recipe.resolved import resolved
from rltk.recipe.schema import Recipe
from rltk.recipe.tree import COMMAND_LINE, Node, Where, from_plain, in_profile, mapping, merge, read_file, read_yaml

AUTO, NONE, LAPTOP = "auto", "none", "laptop"
LAPTOP_NOTE = "no accelerator is visible: profile `laptop` (--profile none runs the recipe as written)"
FLOAT32_NOTE = "this processor does not multiply bfloat16: model.dtype is float32, as the recipe names none"


class Loaded(NamedTuple):
    recipe: Recipe
    profile: str | None
    """Name of the profile that was laid over the recipe."""
    notes: tuple[str, ...]
    """What was decided that the user did not ask for, a sentence each."""
    source: Path


class Profile(NamedTuple):
    name: str | None
    notes: tuple[str, ...] = ()


def load_recipe(
    path_or_name: str, overrides: Sequence[str] = (), profile: str = AUTO, *, is_for_here: bool = True
) -> Loaded:
    """The recipe in a file, or of a shipped name; local paths in it are relative to the current folder.

    What it does not say of its arithmetic follows from this machine, unless it is not for here or taken as written.
    """
    source = find_recipe(path_or_name)
    base, profiles = split_profiles(read_file(source, shown(source)))
    chosen = choose_profile(profile, profiles, shown(source), is_accelerator_visible())
    layers = [profiles[chosen.name]] if chosen.name else []
    tree = reduce(merge, [*layers, *map(read_override, overrides)], base)
    recipe, complaints = validate(tree)
    complaints += absent_paths(recipe, tree) if recipe else []
    complaints += faults_elsewhere(base, profiles)
    if recipe is None or complaints:
        raise refusal(complaints)
    if is_for_here and profile != NONE and "dtype" not in recipe.model.model_fields_set and dtype_here() == "float32":
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dtype": "float32"})})
        return Loaded(recipe, chosen.name, (*chosen.notes, FLOAT32_NOTE), source)
    return Loaded(recipe, chosen.name, chosen.notes, source)


def changed(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe with keys of it as the command line says."""
    kept = from_plain(resolved(recipe), Where(layer=0, line=0, source="the saved recipe"))
    found, complaints = validate(reduce(merge, map(read_override, overrides), kept))
    if found is None:
        raise refusal(complaints)
    return found


def split_profiles(root: Node) -> tuple[Node, dict[str, Node]]:
    """The recipe as written, and what each profile changes."""
    written = root.value.get("profiles")
    if written is None:
        return with_types(root), {}
    if not written.is_mapping:
        raise RecipeError(f"{written.where}: profiles = {written.text} must map a name to the keys it changes.")
    for name, overlay in written.value.items():
        if name in (AUTO, NONE):
            raise RecipeError(f"{overlay.where}: a profile cannot be called {name}, which has a meaning of its own.")
        if not overlay.is_mapping:
            raise RecipeError(f"{overlay.where}: profiles.{name} = {overlay.text} must be the keys that it changes.")
    base = mapping({key: node for key, node in root.value.items() if key != "profiles"}, root.where)
    overlays = {name: in_profile(with_types(overlay), name) for name, overlay in written.value.items()}
    return with_types(base), overlays


def choose_profile(asked: str, available: Iterable[str], source: str, has_accelerator: bool) -> Profile:
    names = list(available)
    if asked in names:
        return Profile(asked)
    if asked not in (AUTO, NONE):
        ending = suggestion(asked, [*names, NONE, AUTO], otherwise="choose one of")
        raise RecipeError(f"{source} has no profile {asked}; {ending}")
    if asked == NONE or has_accelerator or LAPTOP not in names:
        return Profile(None)
    return Profile(LAPTOP, (LAPTOP_NOTE,))


def read_override(text: str) -> Node:
    """The tree of one `dotted.key=value` from the command line; the value is YAML."""
    dotted, equals, value = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"{COMMAND_LINE}: {text!r} is not of the form key=value, such as optim.lr=1e-5.")
    if keys[0] == "profiles":
        raise RecipeError(f"{COMMAND_LINE}: {text!r} cannot change a profile; choose one with --profile.")
    node = read_yaml(value, lambda line: COMMAND_LINE, repr(text)) or Node(None, COMMAND_LINE, "null")
    return with_types(reduce(lambda inner, key: mapping({key: inner}, COMMAND_LINE), reversed(keys), node))


def faults_elsewhere(base: Node, profiles: dict[str, Node]) -> list[Complaint]:
    """Complaints about what this run does not use: the file below its profiles, and every profile on top of it.

    A recipe tried on one machine would otherwise fail on another. What is only missing may come from another layer.
    """
    found = validate(base).complaints
    for name, overlay in profiles.items():
        found += [fault for fault in validate(merge(base, overlay)).complaints if fault.where.profile == name]
    return [fault for fault in found if not fault.is_missing]
