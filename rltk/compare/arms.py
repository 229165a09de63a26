"""The arms of a comparison, as recipes that differ in their overlay and in nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from rltk.errors import RecipeError, suggestion
from rltk.recipe.explain import refusal, validate
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.recipe.schema import Model, Recipe
from rltk.recipe.tree import Where, from_plain, merge

QLORA = "qlora"
VARIANTS: dict[str, dict[str, Any]] = {
    "lora": {},
    QLORA: {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "pissa": {"init": "pissa"},
    "attention": {"targets": "attention"},
    "mlp": {"targets": "mlp"},
}
FULL = "full"
MAY_NOT_MOVE = ("name", "seed", "compare")
"""What `compare.base` may not change: a comparison gives its runs their seeds."""


class Room(NamedTuple):
    """What an overlay may set."""

    sections: tuple[str, ...]
    of_model: tuple[str, ...] = tuple(Model.model_fields)


OF_AN_ARM = Room(("tune", "optim", "algo", "model"), ("quantize",))
"""Other sections say what is learned from what, and how it is measured. An arm in four bits pays for its coarser base
too, and that is what is asked."""
OF_ALL = Room(tuple(key for key in Recipe.model_fields if key not in MAY_NOT_MOVE))


def arm_recipes(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe of every arm, without the learning rate and seed of a run; refused unless they can be compared."""
    overlays = arm_overlays(recipe)
    compare = recipe.compare
    names = {"compare.reference": compare.reference, "compare.control.arm": compare.control.arm}
    for key, name in names.items():
        if name is not None and name not in overlays:
            raise RecipeError(f"{key} = {name} is not an arm; {suggestion(name, list(overlays), otherwise='they are')}")
    if compare.control.arm == compare.reference:
        raise RecipeError(f"compare.control.arm = {compare.reference} is the reference; name another arm.")
    base = overlaid(recipe, checked(compare.base, "compare.base", OF_ALL), "compare.base")
    arms = {name: overlaid(base, overlay, f"compare.arms.{name}") for name, overlay in overlays.items()}
    refuse_twins(arms)
    return arms


def overlaid(recipe: Recipe, overlay: Mapping[str, Any], source: str) -> Recipe:
    """The recipe without its comparison, with an overlay on top; `source` is what a message calls the overlay."""
    values = {key: value for key, value in resolved(recipe).items() if key != "compare"}
    place = Where(layer=0, line=0, source=source)
    tree = merge(from_plain(values, place), from_plain(overlay, place._replace(layer=1)))
    found, complaints = validate(tree)
    if found is None:
        raise refusal(complaints)
    return found


def arm_overlays(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What each arm lays over the recipe, presets spelled out."""
    arms = recipe.compare.arms
    if isinstance(arms, tuple):
        for name in arms:
            if arms.count(name) > 1:
                raise RecipeError(f"compare.arms names {name} twice.")
    given = dict(arms) if isinstance(arms, dict) else {name: name for name in arms}
    if len(given) < 2:
        raise RecipeError(f"compare.arms has {len(given)} arms; a comparison needs the reference and another.")
    return {
        name: preset(arm) if isinstance(arm, str) else checked(arm, f"compare.arms.{name}", OF_AN_ARM)
        for name, arm in given.items()
    }


def preset(name: str) -> dict[str, Any]:
    """The overlay that a name such as `lora-4`, `dora` or `full` stands for."""
    if name == FULL:
        return {"tune": {"type": "full"}}
    kind, _, rank = name.partition("-")
    if kind not in VARIANTS or not re.fullmatch(r"[1-9]\d*|", rank) or name.endswith("-"):
        ending = suggestion(name, [FULL, *(f"{kind}-8" for kind in VARIANTS)], otherwise="there are")
        raise RecipeError(f"compare.arms: {name} is no preset; {ending}")
    four_bits = {"model": {"quantize": "nf4"}} if kind == QLORA else {}
    return {"tune": {"type": "lora", **VARIANTS[kind], **({"rank": int(rank)} if rank else {})}} | four_bits


def checked(overlay: dict[str, Any], where: str, room: Room) -> dict[str, Any]:
    """The overlay, which changes what it may and no learning rate."""
    for key in overlay:
        if key not in room.sections:
            raise RecipeError(f"{where} sets {key}; it may set {', '.join(room.sections)}.")
    model, optim = overlay.get("model"), overlay.get("optim")
    for key in sorted(model) if isinstance(model, dict) else []:
        if key in Model.model_fields and key not in room.of_model:
            raise RecipeError(f"{where} sets model.{key}; of model it may set {', '.join(room.of_model)}.")
    if isinstance(optim, dict) and "lr" in optim:
        raise RecipeError(f"{where} sets optim.lr, which every arm is swept over; see compare.rates.")
    return overlay


def refuse_twins(arms: Mapping[str, Recipe]) -> None:
    seen: dict[str, str] = {}
    for name, recipe in arms.items():
        twin = seen.setdefault(recipe_hash(recipe), name)
        if twin != name:
            raise RecipeError(f"the arms {twin} and {name} are one and the same; let them differ, or remove one.")
