"""The section `rewards`, whose keys are names of the user's own, and what goes with which data."""

from __future__ import annotations

import pytest

from rltk.errors import RecipeError
from rltk.recipe import load_recipe, recipe_from_resolved, resolved
from rltk.recipe.schema import GoldReward, ModelReward

ROWS = [
    (
        "rewards.quality.type=gld",
        'rewards.quality.type = gld must be "answer", "model", "server" or "gold"; did you mean gold?',
    ),
    ("rewards.quality.wight=2", "rewards.quality.wight = 2 is not a key of rewards.quality; did you mean weight?"),
    ("rewards.quality.weight=much", "rewards.quality.weight = much must be a number."),
    ("rewards.b.weight=2", 'rewards.b.type is missing; it must be "answer", "model", "server" or "gold".'),
    (
        "rewards.quality={type: answer}",
        "rewards.quality.type = answer needs problems with answers, and data.kind is preferences; use model, server or "
        "gold.",
    ),
    ("rewards.b={type: model}", "rewards.b.path is missing; it must be non-empty text."),
    (
        "eval={every: 0, stop_on_overoptimisation: true}",
        "eval.stop_on_overoptimisation = true looks at the evaluations while training; set eval.every.",
    ),
]


@pytest.mark.parametrize(("override", "said"), ROWS)
def test_a_mistake_is_named_by_its_key(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("hh_ppo", [override], "laptop")
    assert caught.value.sentences == (f"command line: {said}",)


def test_gold_is_for_data_that_has_it() -> None:
    with pytest.raises(RecipeError, match="is known for embedded/dialogues alone; use model or server"):
        load_recipe("gsm8k_ppo", ["rewards.true={type: gold}"], "none")


def test_preferences_without_a_reward_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"data\.path = embedded/dialogues has prompts without an answer to check: name"
    ):
        load_recipe("gsm8k_grpo", ["data={path: embedded/dialogues, config: null, prompt: '{question}'}"], "none")


def test_a_profile_or_override_replaces_a_reward_by_its_name() -> None:
    assert load_recipe("hh_ppo", [], "laptop").recipe.rewards == {"quality": GoldReward()}
    written = load_recipe("hh_ppo", ["rewards.quality.path=runs/x", "rewards.b={type: server, url: u}"], "none").recipe
    assert written.rewards["quality"] == ModelReward(path="runs/x")
    assert list(written.rewards) == ["quality", "b"]
    assert recipe_from_resolved(resolved(written)) == written
