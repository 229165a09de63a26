"""`rollout.engine = vllm`: keys that go with it, and what servers could not sample for."""

from __future__ import annotations

import pytest

from rltk.errors import RecipeError
from rltk.recipe import load_recipe, recipe_from_resolved, resolved

OVER = ["rollout={engine: vllm, servers: ['http://127.0.0.1:8000'], max_new_tokens: 8}"]
ROWS: list[tuple[list[str], str]] = [
    (["rollout.engine=vllm"], "rollout.engine = vllm needs rollout.servers with LoRA"),
    (["rollout.servers=[http://a:1]"], 'rollout.servers = ["http://a:1"] has a meaning with engine vllm with servers'),
    (["rollout.patience=5"], "rollout.patience = 5 has a meaning with engine vllm with servers only; remove it."),
    ([*OVER, "rollout.gpu_memory=0.5"], "rollout.gpu_memory = 0.5 has a meaning with engine vllm without servers"),
    ([*OVER, "rollout.batch=4"], "rollout.batch = 4 is not for engine vllm"),
    ([*OVER, "rollout.servers=[http://a:1, http://a:1]"], "names a server twice"),
    ([*OVER, "tune.use_dora=true"], "tune.use_dora = true is not what servers can add to their base"),
    ([*OVER, "tune.init=pissa"], "tune.init = pissa is not what servers can add to their base"),
    ([*OVER, "tune.type=full", "rollout.top_p=0.9"], "gives log-probabilities after top_k, top_p and min_p"),
    ([*OVER, "tune.type=full", "rollout.token_file=x"], "rollout.token_file = x is not sent by TRL"),
]


@pytest.mark.parametrize(("overrides", "said"), ROWS)
def test_what_servers_cannot_follow_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("gsm8k_grpo", overrides, "none")
    assert said in str(caught.value)


def test_training_on_data_does_not_sample_over_servers() -> None:
    with pytest.raises(RecipeError, match=r"rollout\.engine = vllm is for grpo, rloo and ppo; use auto"):
        load_recipe("gsm8k_sft", ["rollout.engine=vllm"], "none")


@pytest.mark.parametrize("more", [[], ["tune.type=full"], ["rollout.temperature=0.7", "rollout.top_k=20"]])
def test_what_goes_together_is_taken_and_kept(more: list[str]) -> None:
    recipe = load_recipe("gsm8k_grpo", [*OVER, *more], "none").recipe
    assert recipe.rollout.servers == ("http://127.0.0.1:8000",)
    assert recipe_from_resolved(resolved(recipe)) == recipe
