"""A recipe as the JSON that a run keeps: what it was after profile, command line and defaults, and a hash of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rltk.recipe.changes import changes
from rltk.recipe.explain import refusal, validate
from rltk.recipe.schema import Recipe
from rltk.recipe.sections.rollout import OF_SERVERS
from rltk.recipe.tree import Where, from_plain

PLACES = ("run.", "hardware.", *(f"rollout.{key}" for key in (*OF_SERVERS, "gpu_memory")))
"""How keys begin that say where a run is kept, on what it is made and where servers are, and so change no result."""


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Every key with its value, defaults included, as JSON has them."""
    values = recipe.model_dump(mode="json")
    if not recipe.data.is_embedded:
        del values["data"]["levels"]  # other data has none, and the schema refuses them there
    return values


def recipe_hash(recipe: Recipe) -> str:
    """12 hex digits, equal for recipes that differ at most in what changes no result.

    That is `compare` and `PLACES`, so that a run can go on with other hardware. Only what is not at its default
    counts, so that a key which a later rltk adds leaves the hashes of what was run before as they were.
    """
    return digest({key: value for key, value, _ in changes(recipe) if not key.startswith(("compare.", *PLACES))})


def without_places(recipe: Recipe) -> dict[str, Any]:
    """What is resolved, but for `PLACES`."""
    values = {key: value for key, value in resolved(recipe).items() if key not in ("run", "hardware")}
    rollout = {key: value for key, value in values["rollout"].items() if key not in (*OF_SERVERS, "gpu_memory")}
    return values | {"rollout": rollout}


def digest(values: Any) -> str:
    """12 hex digits of what JSON holds; the order of keys does not matter."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=6).hexdigest()


def recipe_from_resolved(values: Mapping[str, Any], source: str = "the saved recipe") -> Recipe:
    """The recipe that `resolved` gave; `source` is what a message calls the place it was kept in."""
    recipe, complaints = validate(from_plain(values, Where(layer=0, line=0, source=source)))
    if recipe is None:
        raise refusal(complaints)
    return recipe
