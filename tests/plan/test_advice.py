"""No number without its source, and capacities by hand."""

import re

import pytest

from rltk.plan.advice import MEANINGS, Advice, advice_for, all_advice
from rltk.plan.capacity import capacity
from rltk.plan.devices import DEVICES
from rltk.plan.workload import Assumed, workload_of
from rltk.recipe.schema import Recipe
from tests.recipes import recipe


def lacks_source(advice: Advice) -> bool:
    return bool(re.search(r"\d", advice.says)) and not re.search(
        r"arxiv|\.com|\.ai|\.json|\.md|github", advice.source, re.I
    )


def test_every_number_in_the_advice_has_a_source() -> None:
    advice = all_advice()
    assert len(advice) >= 10
    assert [one.about for one in advice if lacks_source(one) or not one.source.strip()] == []
    assert lacks_source(Advice("x", "folklore", "above 10 %", "everyone says so"))


def test_every_grade_is_one_of_four_and_all_are_used() -> None:
    assert {one.grade for one in all_advice()} == set(MEANINGS)


def test_devices_name_their_sources() -> None:
    assert [device.name for device in DEVICES] == ["H100", "H200", "A100", "4090"]
    assert all(device.source and device.price_source for device in DEVICES)


def test_advice_is_of_the_algorithm_and_the_arm() -> None:
    """The rule on data sizes of reward models is no news to who runs GRPO, nor is alpha to full fine-tuning."""
    for_grpo = {one.about for one in advice_for("grpo", "full")}
    assert "data size for reward models" not in for_grpo and "alpha" not in for_grpo
    rewards = [one for one in advice_for("reward_model", "lora") if one.about == "data size for reward models"]
    assert [one.grade for one in rewards] == ["folklore"]


def test_capacity_by_hand() -> None:
    """200 steps of 4 problems with 4 completions offer 3,200 bits; 1,000 parameters hold 2,000."""
    work = workload_of(recipe(optim={"steps": 200}), Assumed(10))
    found = capacity("grpo", work, 1000)
    assert (found.offered, found.held, found.unit) == (3200.0, 2000.0, "episode")
    assert found.ratio == 0.625 and "less than" in found.meaning
    assert "no limit" in capacity("grpo", work, 16_000).meaning


@pytest.mark.parametrize(("algo", "offered"), [("dpo", 20 * 8), ("reward_model", 20 * 8), ("sft", 20 * 8 * 54)])
def test_pairs_tell_a_bit_and_tokens_one_each(algo: str, offered: float) -> None:
    """20 steps of 8 examples of 64 tokens, 10 of which are the prompt's."""
    chosen = Recipe.model_validate(
        {
            "name": "x",
            "model": {"path": "embedded/policy"},
            "data": {"path": "embedded/dialogues"},
            "algo": {"type": algo, "batch": 8, "max_length": 64},
            "tune": {"type": "lora"},
            "optim": {"steps": 20},
        }
    )
    assert capacity(algo, workload_of(chosen, Assumed(10)), 1).offered == offered
