"""The section `rewards`, whose keys are names of the user's own, and what goes with which data."""

from __future__ import annotations

from pathlib import Path

import pytest

from rltk.errors import RecipeError
from rltk.recipe import load_recipe, recipe_from_resolved, resolved
from rltk.recipe.schema import GoldReward, ModelReward, PythonReward

ROWS = [
    (
        "rewards.quality.type=gld",
        'rewards.quality.type = gld must be "answer", "model", "server", "gold", "solution" or "python"; did you mean '
        "gold?",
    ),
    ("rewards.quality.wight=2", "rewards.quality.wight = 2 is not a key of rewards.quality; did you mean weight?"),
    ("rewards.quality.weight=much", "rewards.quality.weight = much must be a number."),
    (
        "rewards.b.weight=2",
        'rewards.b.type is missing; it must be "answer", "model", "server", "gold", "solution" or "python".',
    ),
    (
        "rewards.quality={type: solution}",
        "rewards.quality.type = solution follows solutions of problems with numbers, and data.kind is "
        "preferences; leave it out.",
    ),
    (
        "rewards.quality={type: answer}",
        "rewards.quality.type = answer needs problems with answers, and data.kind is preferences; use model, server, "
        "python or gold.",
    ),
    ("rewards.b={type: model}", "rewards.b.path is missing; it must be non-empty text."),
    ("rewards.b={type: python, path: mine}", "rewards.b.path = mine must be a file that ends in .py."),
    ("rewards.b.path=nowhere/mine.py", "rewards.b.path = nowhere/mine.py does not exist: there is no folder nowhere."),
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
    with pytest.raises(RecipeError, match="is known for embedded/dialogues alone; use model, server or python"):
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


def test_a_path_that_ends_in_py_is_of_type_python(tmp_path: Path) -> None:
    """In the file, in a profile and on the command line; over a reward of another type it takes its place."""
    mine = tmp_path / "mine.py"
    mine.write_text("")
    expected = PythonReward(path=str(mine), weight=0.5)
    written = load_recipe("hh_ppo", [f"rewards.quality={{path: {mine}, weight: 0.5}}"], "laptop").recipe
    assert written.rewards == {"quality": expected}
    again = load_recipe("hh_ppo", [f"rewards.quality.path={mine}", "rewards.quality.weight=0.5"], "laptop").recipe
    assert again == written and recipe_from_resolved(resolved(written)) == written
    lines = ["rewards:", f"  mine: {{path: {mine}}}", "profiles:", "  p:", "    rewards:", "      mine: {type: gold}"]
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "\n".join(
            [
                *lines,
                "name: t",
                "model: {path: m}",
                "data: {path: embedded/dialogues}",
                "algo: {type: grpo}",
                "tune: {type: full}",
            ]
        )
    )
    assert load_recipe(str(file), [], "none").recipe.rewards == {"mine": PythonReward(path=str(mine))}
    assert load_recipe(str(file), [], "p").recipe.rewards == {"mine": GoldReward()}
