"""Priors by hand, and that what `optim.lr: auto` stood for before is what it stands for now."""

import pytest

from rltk.plan.learning_rate import (
    on_policy_learning_rate,
    peak_learning_rate,
    prior,
    warning,
)
from tests.recipes import recipe

ALGOS = ("grpo", "rloo", "ppo", "ppo_critic", "sft", "dpo", "reward_model")


@pytest.mark.parametrize(("algo", "tune"), [(algo, tune) for algo in ALGOS for tune in ("lora", "full")])
def test_every_prior_lies_within_its_spread_and_names_its_source(algo: str, tune: str) -> None:
    found = prior(algo, tune, 1024, "qwen3")
    assert found.low < found.lr < found.high and found.source


def test_on_policy_values_are_what_they_were() -> None:
    """8e-5 at 2,048, as 1 / hidden size, and a tenth of it for full fine-tuning."""
    for algo in ("grpo", "rloo"):
        assert prior(algo, "lora", 2048).lr == 8e-5
        assert prior(algo, "lora", 256).lr == 8e-5 * 2048 / 256
        assert prior(algo, "full", 1024).lr == 8e-5 * 2048 / 1024 / 10
    assert on_policy_learning_rate("full", 512) == prior("grpo", "full", 512).lr


def test_the_published_formula() -> None:
    """2.856e-4 for Llama-3.1-8B, and 5.27e-4 and 5.27e-5 for Qwen3-0.6B."""
    assert prior("sft", "lora", 4096, "llama").lr == pytest.approx(2.856e-4, rel=1e-3)
    assert prior("sft", "lora", 1024, "qwen3").lr == pytest.approx(5.27e-4, rel=1e-3)
    assert prior("sft", "full", 1024, "qwen3_moe").lr == pytest.approx(5.27e-5, rel=1e-3)
    assert "neither" in prior("sft", "lora", 1024, "gemma3_text").source
    assert "neither" not in prior("sft", "lora", 1024, "qwen2").source


def test_a_full_fine_tunings_learning_rate_with_lora_is_warned_of() -> None:
    found = prior("grpo", "lora", 2048)
    said = warning(1e-6, found, "lora", 200)
    assert said is not None and "LoRA does not learn" in said
    assert warning(2e-5, found, "lora", 200) is None


def test_a_loras_learning_rate_with_full_fine_tuning_is_warned_of() -> None:
    said = warning(1e-3, prior("grpo", "full", 2048), "full", 200)
    assert said is not None and "may be a LoRA's" in said


def test_short_runs_of_lora_may_go_half_as_high_again() -> None:
    found = prior("grpo", "lora", 2048)
    assert warning(1.4 * found.high, found, "lora", 100) is None
    assert warning(1.4 * found.high, found, "lora", 101) is not None


def test_small_models_fall_as_one_over_their_size() -> None:
    """From the smallest that was fitted: a quarter of the width, four times the rate."""
    assert prior("sft", "lora", 256, "qwen3").lr == pytest.approx(4 * prior("sft", "lora", 1024, "qwen3").lr)
    assert "smaller than any" in prior("sft", "lora", 256, "qwen3").source


def test_levels_of_the_others() -> None:
    assert prior("dpo", "lora", 2048).lr == 1e-5
    assert prior("dpo", "full", 1024).lr == pytest.approx(2e-6)
    assert prior("reward_model", "lora", 4096).lr == pytest.approx(5e-5)
    assert prior("ppo_critic", "lora", 2048).lr == pytest.approx(3 * 8e-5)


def test_what_the_recipe_says_goes_before_the_prior() -> None:
    assert peak_learning_rate(recipe(optim={"lr": 3e-3}), 256) == 3e-3
    assert peak_learning_rate(recipe(optim={"lr": "auto"}), 256) == on_policy_learning_rate("lora", 256)


def test_an_unknown_algorithm_has_no_prior() -> None:
    with pytest.raises(KeyError, match="spin"):
        prior("spin", "lora", 1024)
