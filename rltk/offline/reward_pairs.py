"""Pairs for a reward model of problems: the starting policy answers them, and what the checker accepts is preferred."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

import torch

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preferences import Preference, load_preferences
from rltk.data.problems import Problem
from rltk.distributed import world
from rltk.models.adapters import shrink_frozen
from rltk.models.load import compute_dtype, context_length, load_weights, pad_token, stop_tokens
from rltk.offline.own_pairs import FILE, Writer, own_pairs
from rltk.offline.reward_inputs import RewardInputs
from rltk.recipe.schema import Paired, Recipe
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.run.session import Desk

HELDOUT = "heldout"
"""Folder, in that of the run, of the held-out pairs."""


def sampled_pairs(
    recipe: Recipe, inputs: RewardInputs, device: torch.device, desk: Desk
) -> tuple[Sequence[Preference], Sequence[Preference]]:
    """Training and held-out pairs, as they stand in the run folder; a policy is loaded only if they do not yet."""
    folder = desk.folder.path
    places = (folder / FILE, folder / HELDOUT / FILE)
    if not world.of_first(lambda: all(place.exists() for place in places)):
        writer = load_writer(recipe, inputs, device)
        make(writer, inputs.training.problems, folder, desk, "training pairs")
        longer = replace(writer, recipe=until_all_are_asked(recipe, len(inputs.asked)))
        make(longer, inputs.asked, folder / HELDOUT, desk, "held-out pairs")
    training, heldout = (load_preferences(PreferenceSource(str(place))).pairs for place in places)
    return training, heldout


def make(writer: Writer, problems: list[Problem], folder: Path, desk: Desk, what: str) -> None:
    def report(done: int, total: int) -> None:
        desk.watch.evaluating(what, done, total)

    made = own_pairs(writer, problems, folder, report=report)
    if made.report is not None:
        desk.watch.say(f"{what}: {made.report.text}")


def load_writer(recipe: Recipe, inputs: RewardInputs, device: torch.device) -> Writer:
    """The policy that the reward model starts from, as it samples; it is gone when the pairs are there."""
    base = load_weights(recipe.model, device).requires_grad_(False)
    stops, dtype = stop_tokens(base, inputs.tokenizer), compute_dtype(recipe.model)
    engine = choose_engine(recipe.rollout.engine, base)
    if dtype == torch.bfloat16:
        shrink_frozen(base)
    sampler = make_sampler(
        engine, base, stops=stops, pad=pad_token(inputs.tokenizer, stops), batch=recipe.rollout.batch, dtype=dtype
    )
    return Writer(recipe, sampler, inputs.tokenizer, context_length(inputs.config))


def until_all_are_asked(recipe: Recipe, count: int) -> Recipe:
    """The recipe with as many steps as take every pair that so many problems can give."""
    assert isinstance(recipe.algo, Paired)
    steps = ceil(count * recipe.algo.pairs / recipe.algo.batch)
    return recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"steps": steps})})
