"""Recipes and data of offline training that cannot work are refused in one sentence, before any weights load."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rltk.errors import UserError
from rltk.offline.inputs import load_inputs
from rltk.recipe.load import load_recipe
from tests.offline.made import write_recipe

RULES: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "sft",
        "problems",
        {"rollout": {"temperature": 0.5}},
        "rollout.temperature = 0.5 has no meaning with algo.type sft",
    ),
    (
        "sft",
        "preferences",
        {"rollout": {"engine": "native"}},
        "rollout.engine = native has no meaning with algo.type sft",
    ),
    ("sft", "preferences", {"eval": {"tasks": ["gsm8k"]}}, 'eval.tasks = ["gsm8k"] has no meaning with algo.type sft'),
    (
        "dpo",
        "preferences",
        {"algo": {"samples": 4}},
        "algo.samples = 4 has no meaning with algo.type dpo on preferences",
    ),
    ("dpo", "problems", {"algo": {"samples": 1}}, "algo.samples = 1 must be a whole number of at least 2."),
    ("dpo", "problems", {"algo": {"label_smoothing": 0.1}}, "algo.label_smoothing = 0.1 is for algo.loss robust or"),
    (
        "dpo",
        "problems",
        {"algo": {"loss": "robust"}},
        "algo.label_smoothing = 0.0 must be above 0 with algo.loss robust.",
    ),
    ("dpo", "problems", {"algo": {"loss": "sigmid"}}, "did you mean sigmoid?"),
    ("sft", "problems", {"algo": {"beta": 0.1}}, "algo.beta = 0.1 is not a key of algo; only type dpo has it."),
    ("sft", "problems", {"algo": {"epochs": 2}}, "algo.epochs = 2 is not a key of algo;"),
]


@pytest.mark.parametrize(("algo", "data", "sections", "expected"), RULES)
def test_one_broken_rule_is_one_sentence(
    algo: str, data: str, sections: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, Path("a/b"), algo, data, **sections)
    with pytest.raises(UserError) as refused:
        load_recipe(str(recipe))
    assert expected in str(refused.value) and "\n" not in str(refused.value)


def test_preferences_cannot_be_graded(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, Path("a/b"), "dpo")
    written = yaml.safe_load(recipe.read_text()) | {"algo": {"type": "grpo"}}
    recipe.write_text(yaml.safe_dump(written))
    with pytest.raises(UserError, match="has prompts without an answer to check: name rewards of type"):
        load_recipe(str(recipe))


def test_examples_that_are_too_long_are_left_out_and_counted(guesser: Path, tmp_path: Path) -> None:
    recipe = write_recipe(
        tmp_path, guesser, "dpo", algo={"max_length": 60}, data={"validation": 1}, optim={"steps": 10}
    )
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": "Why?", "chosen": "because " * 50, "rejected": "no"}) + "\n")
    inputs = load_inputs(load_recipe(str(recipe)).recipe)
    assert list(inputs.training.left_out) == ["train/20"]
    assert "tokens, and algo.max_length, or the model's context, is 60." in inputs.training.left_out["train/20"]
    assert len(inputs.training.examples) == 19
    with pytest.raises(UserError, match="has no example that fits: train/0 has"):
        load_inputs(load_recipe(str(recipe), ["algo.max_length=2"]).recipe)


@pytest.mark.parametrize(
    ("algo", "overrides", "expected"),
    [
        ("sft", ["data.answer=solution"], "has no column 'solution', which data.answer names"),
        ("dpo", ["data.chosen=better"], "has no column 'better'"),
        ("dpo", ["data.validation=0", "eval.split=test"], "is one file, so nothing in it is held out"),
    ],
)
def test_data_that_is_not_there(algo: str, overrides: list[str], expected: str, guesser: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(write_recipe(tmp_path, guesser, algo)), overrides).recipe
    with pytest.raises(UserError, match=expected):
        load_inputs(recipe)
