"""Recipes for tests, validated by the schema as a user's are."""

from typing import Any

from rltk.recipe.schema import Recipe

LORA = {"type": "lora", "rank": 4}
FULL = {"type": "full"}


def recipe(**sections: Any) -> Recipe:
    """A small float32 GRPO recipe on the embedded policy and problems; sections are laid over it key by key."""
    base: dict[str, Any] = {
        "name": "test",
        "model": {"path": "embedded/policy", "dtype": "float32"},
        "data": {"path": "embedded/word-problems", "size": 64, "levels": (1,)},
        "algo": {"type": "grpo", "prompts": 4, "group": 4},
        "tune": LORA,
        "optim": {"steps": 2, "lr": 1e-3},
        "rollout": {"max_new_tokens": 16},
        "eval": {"limit": 8, "batch": 8},
    }
    for name, value in sections.items():
        is_overlay = isinstance(value, dict) and name != "tune"
        base[name] = {**base.get(name, {}), **value} if is_overlay else value
    return Recipe.model_validate(base)
