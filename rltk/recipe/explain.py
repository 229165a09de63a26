"""Validation, and its failures as sentences: where, which key, what was given, what is allowed, what was meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rltk.errors import RecipeError, nearest, suggestion
from rltk.recipe.fields import RULE
from rltk.recipe.schema import Recipe
from rltk.recipe.tree import Node, Where, from_plain, shortened, to_plain, walk
from rltk.recipe.words import Shape, choices, either, in_words, is_named, recipe_shape, takes_text, variants

MOST_SHOWN = 5


class Complaint(NamedTuple):
    where: Where
    sentence: str
    is_missing: bool = False
    """Nothing was written: what another layer may still write."""


class Validated(NamedTuple):
    recipe: Recipe | None
    complaints: list[Complaint]


def validate(tree: Node) -> Validated:
    """The recipe, or one complaint for each key at fault."""
    try:
        return Validated(Recipe.model_validate(to_plain(tree)), [])
    except ValidationError as error:
        found = [complain(fault, tree) for fault in error.errors(include_url=False)]
        return Validated(None, list(dict.fromkeys(found)))  # each alternative of a union reports, all with one sentence


def refusal(complaints: Sequence[Complaint]) -> RecipeError:
    """The error that says the first few complaints, in the order of the file."""
    said = [f"{where}: {sentence}" for where, sentence, _ in sorted(dict.fromkeys(complaints))]
    if len(said) > MOST_SHOWN:
        said[MOST_SHOWN - 1 :] = [f"{said[MOST_SHOWN - 1]} (and {len(said) - MOST_SHOWN} more)"]
    return RecipeError(*said)


def complain(fault: ErrorDetails, tree: Node) -> Complaint:
    path, shape, section = follow(fault["loc"])
    if fault["type"] == RULE:
        return break_of_rule(fault, path, tree)
    if fault["type"] == "extra_forbidden":
        return unknown_key(path, section, tree)
    if fault["type"].startswith("union_tag"):
        path, shape = (*path, "type"), {"type": "string", "enum": list(variants(shape))}
    node = find(tree, path)
    return missing(path, shape, tree) if node is None else wrong_value(path, shape, node)


class Followed(NamedTuple):
    path: tuple[str, ...]
    shape: Shape
    """What may stand at the path; empty when no such key exists."""
    section: Shape
    """The section that the path ends in."""


def follow(loc: Sequence[str | int]) -> Followed:
    """The field that pydantic's `loc` is about, without the names of alternatives and places in lists that it holds."""
    path: tuple[str, ...] = ()
    shape = section = recipe_shape()
    for part in map(str, loc):
        if part in (forms := variants(shape)):
            shape = section = forms[part]
        elif forms:  # a path as it is written: of the forms, the first that has the key
            section = next((form for form in forms.values() if part in form["properties"]), {"properties": {}})
            path, shape = (*path, part), section["properties"].get(part, {})
        elif "properties" in shape:
            path, section, shape = (*path, part), shape, shape["properties"].get(part, {})
        elif is_named(shape):
            path, shape = (*path, part), shape["additionalProperties"]
        else:
            break  # inside a list or among alternatives: the field is shown and explained as a whole
    return Followed(path, shape, section)


def wrong_value(path: tuple[str, ...], shape: Shape, node: Node) -> Complaint:
    return Complaint(node.where, f"{assignment(path, node)} must be {in_words(shape)}{ending(shape, node.value)}")


def ending(shape: Shape, value: object) -> str:
    if isinstance(value, str) and (match := nearest(value, choices(shape))):
        return f"; did you mean {match}?"
    if isinstance(value, float) and not math.isfinite(value):
        return ", and finite."
    needs_quotes = takes_text(shape) and value is not None and not isinstance(value, str)
    return ", in quotes." if needs_quotes else "."


def missing(path: tuple[str, ...], shape: Shape, tree: Node) -> Complaint:
    *_, section = walk(tree, path)
    return Complaint(section.where, f"{'.'.join(path)} is missing; it must be {in_words(shape)}.", is_missing=True)


def unknown_key(path: tuple[str, ...], section: Shape, tree: Node) -> Complaint:
    *_, node = walk(tree, path)
    *parents, key = path
    given = ".".join(path) if node.is_mapping else assignment(path, node)
    keys = list(section["properties"])
    hint = other_form(parents, key) or elsewhere(key) or suggestion(key, keys, otherwise="its keys are")
    return Complaint(node.where, f"{given} is not a key of {'.'.join(parents) or 'a recipe'}; {hint}")


def other_form(parents: Sequence[str], key: str) -> str:
    """A hint for a key that the section has under another `type`."""
    owners = [name for name, form in variants(follow(parents).shape).items() if key in form["properties"]]
    return f"only type {either(owners)} has it." if owners else ""


def elsewhere(key: str) -> str:
    """A hint for a key that exists in other places of the recipe."""
    sections = recipe_shape()["properties"]
    homes = [f"{key} at the top level"] if key in sections else []
    homes += [f"{name}.{key}" for name, shape in sections.items() if key in keys_of(shape)]
    return f"did you mean {either(homes)}?" if homes else ""


def keys_of(shape: Shape) -> set[str]:
    return set(shape.get("properties", ())).union(*(form["properties"] for form in variants(shape).values()))


def break_of_rule(fault: ErrorDetails, path: tuple[str, ...], tree: Node) -> Complaint:
    """Placed at the key that was written last: whoever overrides one side of a rule broke it."""
    context = fault.get("ctx", {})
    paths = [(*path, *key.split(".")) for key in context["keys"]] or [path]
    written = [node for node in (find(tree, path) for path in paths) if node is not None]
    where = max((node.where for node in written), key=lambda where: where.layer, default=tree.where)
    shown = find(tree, paths[0]) or default_of((*fault["loc"], *paths[0][len(path) :]), tree.where)
    stop = "" if context["must"].endswith(("?", ".")) else "."
    return Complaint(where, f"{assignment(paths[0], shown)} {context['must']}{stop}")


def default_of(loc: Sequence[str | int], where: Where) -> Node:
    return from_plain(follow(loc).shape["default"], where)


def find(tree: Node, path: tuple[str, ...]) -> Node | None:
    nodes = list(walk(tree, path))
    return nodes[-1] if len(nodes) > len(path) else None


def assignment(path: Sequence[str], node: Node) -> str:
    return f"{'.'.join(path)} = {shortened(node.text)}"
