"""Rules between the sections of a recipe: which keys the algorithm leaves without a use."""

from __future__ import annotations

from collections.abc import Iterator

from rltk.recipe.sections.algo import Algo
from rltk.recipe.sections.offline import SFT, Paired, RewardModel
from rltk.recipe.sections.onpolicy import OnPolicy
from rltk.recipe.sections.rollout import Rollout

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
