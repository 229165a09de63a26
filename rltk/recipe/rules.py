"""Rules between the sections of a recipe: which keys are without a use, and what servers cannot sample for."""

from __future__ import annotations

from collections.abc import Iterator

from rltk.recipe.fields import broken_rule
from rltk.recipe.sections.algo import Algo
from rltk.recipe.sections.offline import SFT, Paired, RewardModel
from rltk.recipe.sections.onpolicy import OnPolicy
from rltk.recipe.sections.rollout import Rollout
from rltk.recipe.sections.tune import Full, LoRA, Tune

SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "batch")
"""Keys of `rollout` that evaluations take no notice of."""


def unused_keys(algo: Algo, *, is_preferences: bool) -> Iterator[tuple[str, str]]:
    """Keys that this algorithm ignores on this data, each with what it would be ignored by."""
    if isinstance(algo, OnPolicy):
        return
    if is_preferences:
        what = f"algo.type {algo.type} on preferences"
        yield from ((f"rollout.{key}", what) for key in Rollout.model_fields)
        yield from ((f"eval.{key}", what) for key in ("tasks", "data_root", "samples", "k", "temperature", "batch"))
        yield from ((f"algo.{key}", what) for key in ("samples", "pairs") if isinstance(algo, Paired))
    elif isinstance(algo, RewardModel):
        what = "algo.type reward_model, which is scored on pairs of the data that it holds out"
        yield from ((f"eval.{key}", what) for key in ("tasks", "samples", "k", "temperature"))
    elif isinstance(algo, SFT):
        what = "algo.type sft, which samples for evaluations alone"
        yield from ((f"rollout.{key}", what) for key in SAMPLING_KEYS)


def refuse_servers_that_cannot_follow(algo: Algo, tune: Tune, rollout: Rollout) -> None:
    """Rules of rollout.engine = vllm: what servers sample from must be what trains, with its log-probabilities."""
    if rollout.engine != "vllm":
        return
    if not isinstance(algo, OnPolicy):
        raise broken_rule("is for grpo, rloo and ppo; use auto", "rollout.engine", "algo.type")
    if isinstance(tune, LoRA):
        if not rollout.servers:
            must = "needs rollout.servers with LoRA, whose adapter is loaded into them step by step; name one at least"
            raise broken_rule(must, "rollout.engine", "rollout.servers")
        if tune.use_dora or tune.init == "pissa":
            key = "tune.use_dora" if tune.use_dora else "tune.init"
            raise broken_rule("is not what servers can add to their base; set it back, or use engine auto", key)
    if isinstance(tune, Full):
        if rollout.is_truncated:
            must = (
                "with full fine-tuning gives log-probabilities after top_k, top_p and min_p, which are not those that "
                "train; set these back"
            )
            raise broken_rule(must, "rollout.engine", "rollout.top_k", "rollout.top_p", "rollout.min_p")
        if rollout.token_file is not None:
            raise broken_rule("is not sent by TRL, which moves whole weights; remove it", "rollout.token_file")
