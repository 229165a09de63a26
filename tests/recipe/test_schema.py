"""The schema from Python: numbers, immutability, what a run keeps of its recipe, and what an editor is told."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

from rltk.commands.schema import file_schema
from rltk.errors import RecipeError
from rltk.recipe import Recipe, recipe_from_resolved, recipe_hash, resolved
from rltk.recipe.schema import GRPO, RLOO, Data, Full, LoRA, Model, Optim, Rollout, Run

RECIPE = Recipe(name="x", model=Model(path="a/b"), data=Data(path="c/d"), algo=GRPO(), tune=LoRA())


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RECIPE.optim.lr = 1.0  # pyright: ignore[reportAttributeAccessIssue]  # frozen: what this test is about


@pytest.mark.parametrize(
    ("key", "value"), [("lr", "abc"), ("lr", "0.5"), ("steps", True), ("steps", "1e3"), ("eps", True)]
)
def test_a_number_is_not_read_from_what_is_none(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Optim.model_validate({key: value})


@pytest.mark.parametrize("prompt", ["{question}", r"Put the answer in \boxed{}: {question}", "{ } {question} {1}"])
def test_braces_without_a_name_are_text(prompt: str) -> None:
    assert Data(path="c/d", prompt=prompt).prompt == prompt


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        RECIPE.model_copy(update={"algo": RLOO(importance_cap=None), "tune": Full(), "optim": Optim(lr=1e-5)}),
        RECIPE.model_copy(update={"data": Data(path="embedded/word-problems", levels=(4,))}),
        RECIPE.model_copy(update={"tune": LoRA(targets=("q_proj",)), "run": Run(trackers=("wandb",))}),
    ],
)
def test_a_recipe_survives_being_kept_as_json(recipe: Recipe) -> None:
    assert recipe_from_resolved(json.loads(json.dumps(resolved(recipe)))) == recipe


def test_what_is_kept_names_every_default() -> None:
    kept = resolved(RECIPE)
    assert kept["optim"]["betas"] == [0.9, 0.999]
    assert kept["tune"] == {
        "type": "lora",
        "rank": 8,
        "alpha": 32.0,
        "dropout": 0.0,
        "targets": "all-linear",
        "expert_rank": "same",
        "use_dora": False,
        "use_rslora": False,
        "init": "zero",
    }
    assert "levels" not in kept["data"]


def test_a_kept_recipe_of_another_version_is_refused_by_key() -> None:
    kept = resolved(RECIPE) | {"optim": {"lr": "auto", "momentum": 0.9, "eps": 0}}
    with pytest.raises(RecipeError) as caught:
        recipe_from_resolved(kept, "runs/x/manifest.json")
    assert caught.value.sentences == (
        "runs/x/manifest.json: optim.eps = 0 must be a number greater than 0.",
        "runs/x/manifest.json: optim.momentum = 0.9 is not a key of optim; its keys are lr, steps, schedule, warmup, "
        "betas, eps, weight_decay, max_grad_norm, micro_tokens.",
    )


def test_the_hash_is_of_what_can_change_a_result() -> None:
    assert len(recipe_hash(RECIPE)) == 12
    assert recipe_hash(RECIPE) == recipe_hash(RECIPE.model_copy(update={"run": Run(dir="elsewhere", keep=5)}))
    one, other = (RECIPE.model_copy(update={"rollout": Rollout(engine="vllm", servers=(url,))}) for url in "ab")
    assert recipe_hash(one) == recipe_hash(other) != recipe_hash(RECIPE)
    assert recipe_hash(RECIPE) != recipe_hash(RECIPE.model_copy(update={"seed": 1}))
    assert recipe_hash(RECIPE.model_copy(update={"tune": LoRA(alpha=32)})) == recipe_hash(RECIPE)


def test_an_editor_is_told_of_every_key_and_of_profiles() -> None:
    schema = file_schema()
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == [*Recipe.model_fields, "profiles"]
    assert schema["required"] == ["name", "model", "data", "algo", "tune"]
    assert schema["$defs"]["GRPO"]["required"] == ["type"]
    assert schema["$defs"]["Optim"]["properties"]["lr"]["anyOf"] == [
        {"const": "auto", "type": "string"},
        {"exclusiveMinimum": 0, "type": "number"},
    ]
    assert "prompts" in schema["$defs"]["GRPO"]["properties"]["updates"]["description"]


def test_a_profile_may_leave_out_any_key() -> None:
    schema = file_schema()
    overlay = schema["$defs"]["PartialRecipe"]
    assert schema["properties"]["profiles"]["additionalProperties"] == {"$ref": "#/$defs/PartialRecipe"}
    forms = ("GRPO", "RLOO", "PPO", "SFT", "RewardModel", "DPO")
    assert overlay["properties"]["algo"]["anyOf"] == [{"$ref": f"#/$defs/Partial{form}"} for form in forms]
    assert not [name for name, shape in schema["$defs"].items() if name.startswith("Partial") and "required" in shape]


def test_every_reference_in_the_schema_leads_somewhere() -> None:
    schema = file_schema()
    named = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema)))
    assert named
    assert named <= set(schema["$defs"])
