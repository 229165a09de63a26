"""What the schema allows, in plain words: read off the JSON Schema, so that messages cannot disagree with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from rltk.recipe.schema import Recipe

Shape = dict[str, Any]
"""A JSON Schema with every $ref replaced by what it refers to."""

BOUNDS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "greater than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}


@cache
def recipe_shape() -> Shape:
    schema = Recipe.model_json_schema()
    return inlined(schema, schema["$defs"])


def inlined(schema: Any, definitions: Shape) -> Any:
    if isinstance(schema, list):
        return [inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    target = inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions) if "$ref" in schema else {}
    return target | {key: inlined(value, definitions) for key, value in schema.items() if key not in ("$ref", "$defs")}


def variants(shape: Shape) -> dict[str, Shape]:
    """The forms of a section by their `type`; empty for what has one form."""
    return {form["properties"]["type"]["const"]: form for form in shape.get("oneOf", ())}


def in_words(shape: Shape) -> str:
    """What may stand in a field: `"auto" or a number greater than 0`."""
    if forms := variants(shape):
        return f"a section with a type of {either(list(map(quoted, forms)))}"
    if "anyOf" in shape:
        return either([part for option in shape["anyOf"] for part in alternatives(option)])
    return either(alternatives(shape))


def alternatives(shape: Shape) -> list[str]:
    if values := choices(shape):
        return [quoted(value) for value in values]
    match shape["type"]:
        case "integer":
            return [f"a whole number{bounds(shape)}"]
        case "number":
            return [f"a number{bounds(shape)}"]
        case "string":
            return [shape.get("patternErrorMessage") or ("non-empty text" if shape.get("minLength") else "text")]
        case "array":
            return [a_list(shape)]
        case "object" if is_named(shape):
            return ["sections by names of your own"]
        case "object":
            has_keys = "properties" in shape
            return [f"a section with the keys {', '.join(shape['properties'])}" if has_keys else "a mapping of keys"]
    return ["true or false" if shape["type"] == "boolean" else "null"]


def is_named(shape: Shape) -> bool:
    """Whether its keys are names that the user makes up."""
    return isinstance(shape.get("additionalProperties"), dict)


def choices(shape: Shape) -> list[str]:
    """The words a field may hold, of all its alternatives."""
    if "const" in shape:
        return [shape["const"]]
    return shape.get("enum") or [word for option in shape.get("anyOf", ()) for word in choices(option)]


def takes_text(shape: Shape) -> bool:
    return any(option.get("type") == "string" and not choices(option) for option in shape.get("anyOf", [shape]))


def bounds(shape: Shape) -> str:
    said = [words.format(shape[key]) for key, words in BOUNDS.items() if key in shape]
    return f" {' and '.join(said)}" if said else ""


def a_list(shape: Shape) -> str:
    if "prefixItems" in shape:
        return f"a list of {len(shape['prefixItems'])}, each {in_words(shape['prefixItems'][0])}"
    least = shape.get("minItems", 0)
    size = f"a list of at least {least}" if least > 1 else "a non-empty list" if least else "a list"
    return f"{size}, each item {in_words(shape['items'])}"


def either(parts: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def quoted(word: str) -> str:
    return f'"{word}"'
