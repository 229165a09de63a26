"""All that can be looked at before a run: cheaply, as every run does, or with all of its data."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from rltk.errors import UserError, tell
from rltk.models.load import context_length, load_config, load_tokenizer, refuse_no_four_bits
from rltk.plan.config import find_shape
from rltk.plan.learning_rate import recipe_warning
from rltk.plan.shape import Shape
from rltk.preflight.chats import look_at_chats
from rltk.preflight.disk import check_disk
from rltk.preflight.found import Found, Looked
from rltk.preflight.pairs import look_at_pairs
from rltk.preflight.prompts import look_at_prompts
from rltk.preflight.template import check_template, stops_without_weights
from rltk.recipe.schema import Offline, Recipe

SHOWN = 20


def look(recipe: Recipe) -> Looked:
    """Rows, template and disk."""
    refuse_no_four_bits(recipe.model)
    tokenizer = load_tokenizer(recipe.model)
    looked = look_at_rows(recipe, tokenizer)
    return looked._replace(found=[*cheap(recipe, tokenizer), *looked.found])


def look_at_rows(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Looked:
    if isinstance(recipe.algo, Offline) and recipe.data.kind == "preferences":
        return look_at_pairs(recipe, tokenizer, recipe.algo.max_length, most=SHOWN)
    if isinstance(recipe.algo, Offline) and recipe.data.kind == "messages":
        return look_at_chats(recipe, tokenizer, recipe.algo.max_length, most=SHOWN)
    return look_at_prompts(recipe, tokenizer, context_length(load_config(recipe.model)), most=SHOWN)


def cheap(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, folder: Path | None = None) -> list[Found]:
    """What needs neither weights nor data."""
    stops, shape = stops_without_weights(recipe.model, load_config(recipe.model), tokenizer), find_shape(recipe.model)
    return [*check_template(tokenizer, stops), *check_rate(recipe, shape), check_disk(recipe, shape, folder)]


def check_rate(recipe: Recipe, shape: Shape) -> list[Found]:
    said = recipe_warning(recipe, shape.hidden, shape.model_type)
    return [] if said is None else [Found("warning", said.removesuffix("."), kind="learning_rate")]


def refuse_unready(recipe: Recipe, folder: Path, *, is_quiet: bool) -> None:
    """Raises what would end badly hours later, and says what may."""
    refuse_no_four_bits(recipe.model)
    found = cheap(recipe, load_tokenizer(recipe.model), folder)
    errors = [one.what for one in found if one.level == "error"]
    if errors:
        raise UserError(f"{errors[0]}.")
    for one in found:
        if one.level == "warning" and not is_quiet:
            tell(one.what)
