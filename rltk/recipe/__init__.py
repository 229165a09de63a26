"""What a person writes: one YAML file, validated whole before anything heavy is imported. Nothing here needs torch."""

from rltk.recipe.load import Loaded, load_recipe
from rltk.recipe.resolved import recipe_from_resolved, recipe_hash, resolved
from rltk.recipe.schema import Recipe

__all__ = ["Loaded", "Recipe", "load_recipe", "recipe_from_resolved", "recipe_hash", "resolved"]
