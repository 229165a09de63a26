"""A recipe as the JSON that a run keeps: what it was after profile, command line and defaults, and a hash of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rltk.recipe.changes import changes
from rltk.recipe.explain import refusal, validate
from rltk.recipe.schema import Recipe
from rltk.recipe.sections.rollout import OF_VLLM
from rltk.recipe.tree import Where, from_plain

PLACES = ("run.", "hardware.", *(f"rollout.{key}." for key in OF_VLLM))
"""Keys, each with a dot behind it, that say where a run is kept, on what it is made and where completions come
from, and so change no result."""
NO_RESULT = ("compare.", *PLACES)
"""All that changes nothing of a single run's numbers."""


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Every key with its value, defaults included, as JSON has them."""
    values = recipe.model_dump(mode="json")
    if not recipe.data.is_embedded:
        del values["data"]["levels"]  # other data has none, and the schema refuses them there
    return values


def recipe_hash(recipe: Recipe) -> str:
    """12 hex digits, equal for recipes that differ at most in what changes no result.

    That is `NO_RESULT`, so that a run can go on with other hardware. Only what is not at its default
    counts, so that a key which a later rltk adds leaves the hashes of what was run before as they were.
    """
    return hash_without(recipe, NO_RESULT)


def hash_without(recipe: Recipe, apart: tuple[str, ...]) -> str:
    """Of what is not at its default, but for the keys and sections in `apart`, which end in a dot."""
    return digest({key: value for key, value, _ in changes(recipe) if not f"{key}.".startswith(apart)})


def without(values: dict[str, Any], apart: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """What is resolved, but for the keys and sections in `apart`, which end in a dot."""
    return {
        key: without(value, apart, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
        if not f"{prefix}{key}.".startswith(apart)
    }


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
