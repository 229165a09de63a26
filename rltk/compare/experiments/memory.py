"""EFF-2: what training keeps beside the weights, and the peak of a step, for LoRA and for full fine-tuning."""

from typing import Any

import torch
from torch import nn

from rltk.compare.experiments.allocated import Allocated
from rltk.compare.experiments.small import EMBEDDED, base_model, batches, text_loss, with_adapter
from rltk.compare.outcome import Outcome, judged
from rltk.recipe.fields import Count, Positive, Section, Text
from rltk.recipe.schema import LoRA


class Settings(Section):
    model: Text = EMBEDDED
    rank: Count = 8
    texts: Count = 4
    tokens: Count = 64
    state_bytes: Positive = 12.0
    """Bytes a trained parameter of gradient and AdamW's two moments, in float32."""
    tolerance: Positive = 0.05
    peak_ratio: Positive = 0.8
    """LoRA's peak must be less than this share of full fine-tuning's."""


def measure(settings: Settings) -> Outcome:
    arms = {arm: one_step(settings, arm) for arm in ("lora", "full")}
    ratio = arms["lora"]["peak"] / arms["full"]["peak"]
    states = [arm["state"] / arm["trained"] for arm in arms.values()]
    is_state_as_expected = all(abs(state / settings.state_bytes - 1) <= settings.tolerance for state in states)
    summary = f"peak {ratio:.2f} of full fine-tuning's; {states[0]:.2f} and {states[1]:.2f} bytes a trained parameter"
    passed = is_state_as_expected and ratio < settings.peak_ratio
    return Outcome(judged(passed), summary, ratio, None, {"arms": arms})


def one_step(settings: Settings, arm: str) -> dict[str, Any]:
    """Bytes after and during one step of AdamW in float32; the peak includes the weights."""
    base = base_model(settings.model)
    model = with_adapter(base, LoRA(rank=settings.rank), 0) if arm == "lora" else base.requires_grad_(True)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    (ids_BT,) = batches(settings.model, steps=1, texts=settings.texts, tokens=settings.tokens)
    weights = sum(weight.nbytes for weight in model.parameters())
    with Allocated(model.parameters()) as memory:
        text_loss(model, ids_BT).backward()
        optimizer.step()
    return {
        "trained": sum(weight.numel() for weight in trained),
        "state": state_bytes(trained, optimizer),
        "weights": weights,
        "peak": weights + memory.peak,
    }


def state_bytes(trained: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> int:
    gradients = sum(weight.grad.nbytes for weight in trained if weight.grad is not None)
    moments = sum(
        value.nbytes
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.ndim
    )
    return gradients + moments
