"""Arms: presets, overlays, and what may not differ between them."""

from pathlib import Path
from typing import Any

import pytest

from rltk.compare.arms import arm_recipes, preset
from rltk.compare.plan import Comparison, check_comparable
from rltk.errors import UserError
from rltk.recipe.schema import Data, LoRA, Recipe
from tests.compare import made


@pytest.mark.parametrize(
    ("name", "overlay"),
    [
        ("full", {"type": "full"}),
        ("lora-4", {"type": "lora", "rank": 4}),
        ("dora", {"type": "lora", "use_dora": True}),
        ("rslora-64", {"type": "lora", "use_rslora": True, "rank": 64}),
        ("pissa-8", {"type": "lora", "init": "pissa", "rank": 8}),
        ("attention-8", {"type": "lora", "targets": "attention", "rank": 8}),
        ("mlp", {"type": "lora", "targets": "mlp"}),
    ],
)
def test_a_preset_is_an_overlay_of_tune(name: str, overlay: dict[str, Any]) -> None:
    assert preset(name) == {"tune": overlay}


@pytest.mark.parametrize("name", ["lora-0", "lora-", "lora-1.5", "laro-8", "full-8"])
def test_what_is_no_preset_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=f"compare.arms: {name} is no preset"):
        preset(name)


def test_an_arm_keeps_all_of_the_recipe_that_it_does_not_name(tmp_path: Path) -> None:
    arms = arm_recipes(made.recipe(tmp_path, arms={"one": "lora-1", "wide": {"tune": {"alpha": 8}}, "full": "full"}))
    one, wide = arms["one"].tune, arms["wide"].tune
    assert isinstance(one, LoRA) and isinstance(wide, LoRA)
    assert (one.rank, one.alpha, wide.rank, wide.alpha) == (1, 32, 8, 8)
    assert arms["full"].model_copy(update={"tune": one}) == arms["one"]


def test_the_base_is_laid_over_every_arm(tmp_path: Path) -> None:
    arms = arm_recipes(made.recipe(tmp_path, base={"optim": {"steps": 5}}))
    assert [arm.optim.steps for arm in arms.values()] == [5, 5]


def test_the_base_may_change_the_model_as_no_arm_may(tmp_path: Path) -> None:
    arms = arm_recipes(made.recipe(tmp_path, base={"model": {"dtype": "float32"}}))
    assert [arm.model.dtype for arm in arms.values()] == ["float32", "float32"]


@pytest.mark.parametrize(
    ("compare", "complaint"),
    [
        ({"arms": ("full", "full")}, "compare.arms names full twice"),
        ({"arms": {"full": "full"}}, "compare.arms has 1 arms; a comparison needs the reference and another"),
        ({"arms": ("lora-1", "lora-2")}, "compare.reference = full is not an arm; they are lora-1, lora-2"),
        ({"control": {"arm": "lora-3"}}, "compare.control.arm = lora-3 is not an arm; did you mean lora-2"),
        ({"control": {"arm": "full"}}, "compare.control.arm = full is the reference"),
        ({"arms": {"a": {"tune": {"rnk": 2}}, "full": "full"}}, "compare.arms.a: tune.rnk = 2 is not a key of tune"),
        (
            {"arms": {"a": {"eval": {"limit": 2}}, "full": "full"}},
            "compare.arms.a sets eval; it may set tune, optim, alg",
        ),
        (
            {"arms": {"a": {"optim": {"lr": 0.1}}, "full": "full"}},
            "compare.arms.a sets optim.lr, which every arm is swe",
        ),
        (
            {"arms": {"a": {"model": {"dtype": "float32"}}, "full": "full"}},
            "compare.arms.a sets model.dtype; of model it may set quantize",
        ),
        ({"base": {"seed": 3}}, "compare.base sets seed"),
        ({"arms": {"a": {}, "b": {}, "full": "full"}}, "the arms a and b are one and the same"),
        ({"arms": {"control": "lora-2", "full": "full"}}, "control is what the negative control is called"),
        ({"base": {"eval": {"tasks": ["gsm8k"]}}}, "eval.tasks begins with gsm8k, which has no validation split"),
        ({"base": {"eval": {"samples": 0}}, "metric": "sampled"}, "compare.metric is sampled and eval.samples is 0"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused_in_a_sentence(
    compare: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=complaint) as refused:
        check_comparable(Comparison(tmp_path, made.recipe(tmp_path, **compare)))
    assert "\n" not in str(refused.value)


def test_a_metric_that_runs_of_the_recipe_do_not_have_is_refused(tmp_path: Path) -> None:
    problems, prompts = made.recipe(tmp_path), {"path": "embedded/dialogues"}
    judged = problems.model_dump(mode="json", exclude_unset=True) | {"data": prompts}
    judged["rewards"] = {"quality": {"type": "gold"}}

    def complaint(of: dict[str, Any], **changes: Any) -> str:
        values = of | {"compare": of["compare"] | changes.pop("compare", {})} | changes
        with pytest.raises(UserError) as refused:
            check_comparable(Comparison(tmp_path, Recipe.model_validate(values)))
        return str(refused.value)

    by_answers = problems.model_dump(mode="json", exclude_unset=True)
    assert complaint(by_answers, compare={"metric": "reward"}).endswith("is scored otherwise; set it to greedy.")
    for metric in ("greedy", "sampled", "pairs", "loss"):
        said = complaint(judged, compare={"metric": metric})
        assert said == (
            f"compare.metric is {metric}, and algo.type grpo on data.kind preferences is scored otherwise; "
            "set it to reward."
        )
    said = complaint(judged, compare={"metric": "reward"}, eval={"samples": 0})
    assert said == "compare.metric is reward and eval.samples is 0; set it to at least 1."


def test_data_from_outside_needs_validation_problems(tmp_path: Path) -> None:
    outside = made.recipe(tmp_path).model_copy(update={"data": Data(path="openai/gsm8k", config="main")})
    with pytest.raises(UserError, match=r"data\.validation is 0, and learning rates are chosen on what it holds out"):
        check_comparable(Comparison(tmp_path, outside))


def test_the_centre_is_the_recipes_rate_or_the_prior(tmp_path: Path) -> None:
    def centre(**changes: Any) -> float:
        recipe = made.recipe(tmp_path, rates={})
        return Comparison(tmp_path, recipe.model_copy(update=changes)).centre

    recipe = made.recipe(tmp_path)
    slow = recipe.optim.model_copy(update={"lr": 0.002})
    assert centre(optim=slow) == pytest.approx(0.0002), "a LoRA recipe's rate is ten times that of full fine-tuning"
    assert centre(optim=slow, tune=arm_recipes(recipe)["full"].tune) == 0.002
    assert centre() == pytest.approx(8e-6 * 2048 / 256), "the embedded policy is 256 wide"
