"""The learning rate that full fine-tuning's sweep is centred on, and the rates around it."""

from rltk.errors import UserError
from rltk.plan.config import read_config
from rltk.plan.learning_rate import LORA_OVER_FULL, peak_learning_rate
from rltk.recipe.schema import Model, Recipe

DIGITS = 3
"""Significant digits of a learning rate, so that one is spelled alike on every machine."""


def full_centre(recipe: Recipe) -> float:
    """What `compare.rates.centre` says; or `optim.lr`, which a LoRA recipe sets ten times higher; or the prior."""
    if recipe.compare.rates.centre != "auto":
        return recipe.compare.rates.centre
    peak = peak_learning_rate(recipe, hidden_size(recipe.model) if recipe.optim.lr == "auto" else 0)
    return peak if recipe.tune.type == "full" else peak / LORA_OVER_FULL


def learning_rate(centre: float, tune: str, place: float) -> float:
    """The rate `place` half-decades from an arm's centre, which is ten times higher for LoRA than for `full`."""
    exact = centre * (1 if tune == "full" else LORA_OVER_FULL) * 10 ** (place / 2)
    return float(f"{exact:.{DIGITS}g}")


def hidden_size(model: Model) -> int:
    """The model's width by its config.json, without loading anything else."""
    try:
        config = read_config(model)
    except UserError as error:
        raise UserError(f"{error} Or set compare.rates.centre to full fine-tuning's likely learning rate.") from error
    size = config.get("text_config", config).get("hidden_size")
    if not isinstance(size, int):
        raise UserError(f"model.path = {model.path}: its config.json has no hidden_size; set compare.rates.centre.")
    return size
