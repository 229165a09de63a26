"""`rltk schema`: the JSON Schema of a recipe file, by which an editor completes keys and marks mistakes."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rltk.recipe.schema import PythonReward, Recipe

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PARTIAL = "Partial"
IMPLIED = (PythonReward.__name__,)
"""Forms that something else tells apart: a path that ends in .py."""


def schema(args: argparse.Namespace) -> None:
    del args  # the answer is JSON either way
    print(json.dumps(file_schema(), indent=2))


def file_schema() -> dict[str, Any]:
    """The schema of a recipe, and of the profiles beside it: recipes of which any key may be left out."""
    whole = Recipe.model_json_schema()
    definitions = whole.pop("$defs")
    profile = partial(whole)
    profiles = {
        "type": "object",
        "description": "What changes on a kind of machine, by name; laptop is chosen where no accelerator is visible.",
        "additionalProperties": {"$ref": f"#/$defs/{PARTIAL}Recipe"},
    }
    require_types(whole["properties"], definitions)
    partials = {f"{PARTIAL}{name}": partial(definition) for name, definition in definitions.items()}
    return {
        "$schema": DIALECT,
        **whole,
        "properties": whole["properties"] | {"profiles": profiles},
        "$defs": definitions | partials | {f"{PARTIAL}Recipe": profile},
    }


def require_types(properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    """pydantic gives `type` a default in Python, but a recipe must write it, and without it both forms would match."""
    for section in properties.values():
        by_name = section.get("additionalProperties")
        for form in (by_name if isinstance(by_name, dict) else section).get("oneOf", ()):
            name = form["$ref"].rpartition("/")[2]
            if name not in IMPLIED:
                definitions[name]["required"] = ["type"]


def partial(shape: Any) -> Any:
    """The same schema with nothing required; a section without its type may then match several forms."""
    if isinstance(shape, list):
        return [partial(item) for item in shape]
    if not isinstance(shape, dict):
        return shape
    renamed = {"oneOf": "anyOf"}
    kept = {
        renamed.get(key, key): partial(value)
        for key, value in shape.items()
        if key not in ("required", "discriminator", "default")
    }
    if "$ref" in kept:
        kept["$ref"] = kept["$ref"].replace("#/$defs/", f"#/$defs/{PARTIAL}")
    return kept
