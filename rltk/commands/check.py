"""`rltk check`: what a recipe comes to on this machine, or what is wrong with it, in well under a second.

With --data it also looks at the data, the chat template and the disk, which takes as long as loading the data does.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from rltk.compare.arms import arm_recipes
from rltk.errors import RecipeError, UserError
from rltk.plan.config import shape_at_hand
from rltk.plan.learning_rate import recipe_warning
from rltk.recipe import Loaded, load_recipe, recipe_hash, resolved
from rltk.recipe.changes import changes
from rltk.recipe.locate import shown
from rltk.recipe.schema import Recipe
from rltk.recipe.tree import as_json, shortened
from rltk.rewards.look import look_at_rewards


def check(args: argparse.Namespace) -> int:
    try:
        return checked(args)
    except UserError as error:
        if args.json:
            sentences = error.sentences if isinstance(error, RecipeError) else (str(error),)
            print(json.dumps({"ok": False, "errors": sentences}, indent=2))
        raise


def checked(args: argparse.Namespace) -> int:
    loaded = load_recipe(args.recipe, args.overrides, args.profile)
    arm_recipes(loaded.recipe)  # what `rltk compare` would make of it
    rewards = look_at_rewards(loaded.recipe)
    answer = for_programs(loaded, rewards)
    if args.data:
        from rltk.commands.preflight import preflight

        return preflight(loaded, answer if args.json else None)
    print(json.dumps(answer, indent=2) if args.json else for_people(loaded, rewards))
    return 0


def for_programs(loaded: Loaded, rewards: dict[str, str]) -> dict[str, Any]:
    return {
        "ok": True,
        "source": shown(loaded.source),
        "profile": loaded.profile,
        "notes": loaded.notes,
        "warnings": warnings(loaded.recipe),
        "hash": recipe_hash(loaded.recipe),
        "rewards": rewards,
        "recipe": resolved(loaded.recipe),
    }


def for_people(loaded: Loaded, rewards: dict[str, str]) -> str:
    """Where the recipe came from, each key that is not at its default, and ok."""
    found = list(changes(loaded.recipe))
    width = max(len(change.key) for change in found)
    rows = [
        f"  {key:{width}}  {shortened(as_json(value), 80)}"
        + ("" if default is None else f"  (default {as_json(default)})")
        for key, value, default in found
    ]
    notes = [f"note     {note}" for note in loaded.notes]
    head = [f"recipe   {shown(loaded.source)}", f"profile  {loaded.profile or 'none'}", *notes]
    looked = [f"{key}: {what}" for key, what in rewards.items()]
    said = [f"warning  {warning}" for warning in warnings(loaded.recipe)]
    hash = f"hash     {recipe_hash(loaded.recipe)}"
    return "\n".join([*head, hash, *looked, "not at a default:", *rows, *said, "ok"])


def warnings(recipe: Recipe) -> list[str]:
    """Of the learning rate, where the model's size is known without asking anyone for it."""
    shape = shape_at_hand(recipe.model) if recipe.optim.lr != "auto" else None
    said = None if shape is None else recipe_warning(recipe, shape.hidden, shape.model_type)
    return [] if said is None else [said]
