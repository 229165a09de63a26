"""The comparisons that a finding takes: which recipes, in which folders, and which of them are there already."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from rltk.compare.catalogue import ComparisonOf, Profile
from rltk.compare.plan import PLAN, Comparison, check_comparable, read_plan
from rltk.errors import UserError, tell
from rltk.recipe.load import NONE, load_recipe
from rltk.recipe.schema import Recipe


class Wanted(NamedTuple):
    """A comparison as the catalogue asks for it; `comparison.path` is where it is, or where it is going to be."""

    comparison: Comparison
    recipe: str
    overrides: tuple[str, ...]
    is_begun: bool


def wanted(id: str, experiment: ComparisonOf, profile: Profile) -> list[Wanted]:
    """One, or one for each of the experiment's recipes and variants."""
    base, variants = experiment.overrides(profile), experiment.variants(profile) or ((),)
    each = list(product(experiment.recipes, variants))
    return [
        one_wanted(id if len(each) == 1 else f"{id}/{number}", recipe, (*base, *variant), profile)
        for number, (recipe, variant) in enumerate(each, 1)
    ]


def one_wanted(name: str, recipe: str, overrides: Sequence[str], profile: Profile) -> Wanted:
    loaded = load_recipe(recipe, list(overrides), profile if profile == "laptop" else NONE).recipe
    folder = Path(loaded.run.dir) / "compare"
    new = free(folder / name, loaded)
    there = begun(folder, new)
    comparison = there or new
    check_comparable(comparison)
    return Wanted(comparison, recipe, tuple(overrides), there is not None)


def free(path: Path, recipe: Recipe) -> Comparison:
    """In this folder, or beside it where another comparison was begun there: what a finding takes may have changed."""
    comparison = Comparison(path, recipe)
    if (path / PLAN).exists():
        return Comparison(path.with_name(f"{path.name}-{comparison.hash}"), recipe)
    return comparison


def begun(folder: Path, comparison: Comparison) -> Comparison | None:
    """The comparison beneath the folder that was begun with the same recipe."""
    for file in sorted(folder.rglob(PLAN)):
        try:
            found = read_plan(file.parent)
        except UserError as error:
            tell(f"passed over {file.parent}: {error}")
            continue
        if found.hash == comparison.hash:
            return found
    return None
