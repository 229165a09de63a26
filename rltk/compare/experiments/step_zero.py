"""INV-0: a fresh adapter changes nothing, merging changes nothing, and switching off gives the base back."""

import torch
from peft import PeftModel
from torch import Tensor

from rltk.compare.experiments.small import EMBEDDED, adapter_factors, base_model, batches, with_adapter
from rltk.compare.outcome import Outcome, judged
from rltk.models.adapters import adapter_off
from rltk.recipe.fields import Count, Positive, Section, Text
from rltk.recipe.schema import LoRA


class Settings(Section):
    model: Text = EMBEDDED
    ranks: tuple[Count, ...] = (1, 4, 8)
    tolerance: Positive = 1e-5
    """Largest difference after merging, relative to the largest logit."""


def measure(settings: Settings) -> Outcome:
    (ids_BT,) = batches(settings.model, steps=1, texts=4, tokens=48)
    expected = logits(base_model(settings.model), ids_BT)
    by_rank = {rank: differences(settings.model, rank, ids_BT, expected) for rank in settings.ranks}
    fresh = max(row["fresh"] for row in by_rank.values())
    off = max(row["off"] for row in by_rank.values())
    merged = max(row["merged"] for row in by_rank.values())
    moved = min(row["moved"] for row in by_rank.values())
    # `moved`: without an adapter that does something, merging and switching off would prove nothing.
    passed = fresh == 0 and off == 0 and merged < settings.tolerance < moved
    summary = f"{fresh:g} fresh, {off:g} switched off, {merged:.1e} merged"
    return Outcome(judged(passed), summary, max(fresh, off), None, {"by_rank": by_rank})


def differences(path: str, rank: int, ids_BT: Tensor, expected: Tensor) -> dict[str, float]:
    """Largest differences of logits: absolute from the base, relative for the merged model and for what B moves."""
    model = with_adapter(base_model(path), LoRA(rank=rank), seed=0).eval()
    fresh = largest(logits(model, ids_BT), expected)
    stir(model)
    moved = logits(model, ids_BT)
    with adapter_off(model):
        off = largest(logits(model, ids_BT), expected)
    scale = moved.abs().max().item()
    merged = largest(logits(model.merge_and_unload(), ids_BT), moved)  # pyright: ignore[reportCallIssue]
    return {"fresh": fresh, "off": off, "merged": merged / scale, "moved": largest(moved, expected) / scale}


def stir(model: PeftModel) -> None:
    """Gives every B values, as training would."""
    generator = torch.Generator().manual_seed(1)
    for up_OR in adapter_factors(model)[1]:
        up_OR.data.copy_(0.02 * torch.randn(up_OR.shape, generator=generator))


@torch.no_grad()
def logits(model: torch.nn.Module, ids_BT: Tensor) -> Tensor:
    return model(input_ids=ids_BT, use_cache=False).logits


def largest(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item()
