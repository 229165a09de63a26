"""INV-1: LoRA under Adam has two real knobs, not four.

Replacing alpha by alpha / (p q), A's first values by p times them, A's learning rate by p times it and B's by q times
it leaves every loss as it was, provided that Adam's eps is divided by p for A and by q for B. (eps = 0 would do too, if
A had a gradient at the first step; it has none while B is zero.)
"""

import torch

from rltk.compare.experiments.small import TINY, adapter_factors, base_model, batches, losses_of, with_adapter
from rltk.compare.outcome import Outcome, judged
from rltk.recipe.fields import Count, Positive, Section, Text
from rltk.recipe.schema import LoRA


class Settings(Section):
    model: Text = TINY
    rank: Count = 4
    factors: tuple[tuple[Positive, Positive], ...] = ((2.0, 1.0), (1.0, 3.0), (0.5, 4.0))
    """Pairs (p, q)."""
    steps: Count = 60
    lr: Positive = 1e-3
    eps: Positive = 1e-3
    tolerance: Positive = 1e-10
    """Largest relative difference of a loss."""
    control: Positive = 1e-4
    """What the difference must exceed when eps is left alone, or the test would not notice anything."""


def measure(settings: Settings) -> Outcome:
    expected = losses(settings, 1.0, 1.0, rescale_eps=True)
    by_factors = {
        f"p={p:g} q={q:g}": apart(losses(settings, p, q, rescale_eps=True), expected) for p, q in settings.factors
    }
    control = apart(losses(settings, *settings.factors[-1], rescale_eps=False), expected)
    worst = max(by_factors.values())
    passed = worst < settings.tolerance and control > settings.control
    summary = f"losses differ by {worst:.1e}; by {control:.1e} with eps left alone"
    details = {"by_factors": by_factors, "eps_left_alone": control, "loss": [expected[0], expected[-1]]}
    return Outcome(judged(passed), summary, worst, None, details)


def losses(settings: Settings, p: float, q: float, *, rescale_eps: bool) -> list[float]:
    base = base_model(settings.model, torch.float64)
    model = with_adapter(base, LoRA(rank=settings.rank, alpha=32 / (p * q)), seed=0)
    downs, ups = adapter_factors(model)
    for down in downs:
        down.data.mul_(p)
    eps_down, eps_up = (settings.eps / p, settings.eps / q) if rescale_eps else (settings.eps, settings.eps)
    optimizer = torch.optim.Adam(
        [
            {"params": downs, "lr": p * settings.lr, "eps": eps_down},
            {"params": ups, "lr": q * settings.lr, "eps": eps_up},
        ]
    )
    return losses_of(model, optimizer, batches(settings.model, steps=settings.steps, texts=2, tokens=32))


def apart(ours: list[float], theirs: list[float]) -> float:
    """Largest relative difference."""
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
