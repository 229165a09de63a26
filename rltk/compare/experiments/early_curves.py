"""LR-3: at one learning rate, adapters of different rank begin with the same learning curve and part later.

Averaged over how A is drawn: a single adapter of rank 1 sees one random direction of its input, many of them all. The
scale is alpha / rank with alpha fixed; with alpha proportional to the rank instead, curves must part at once.

Shapes: S seeds, T steps.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rltk.compare.experiments.small import TINY, base_model, batches, losses_of, with_adapter
from rltk.compare.outcome import Outcome, judged
from rltk.recipe.fields import Count, Positive, Section, Text
from rltk.recipe.schema import LoRA

DRAWS = 2000
Array = NDArray[np.float64]
Seeds = NDArray[np.int64]


class Settings(Section):
    model: Text = TINY
    ranks: tuple[Count, ...] = (1, 4, 64)
    """Held against `reference`."""
    reference: Count = 16
    seeds: Count = 8
    """Draws of A, of whole curves."""
    steps: Count = 100
    early: Count = 10
    """Steps over which the curves must be one."""
    early_seeds: Count = 64
    """Draws of A, of the early steps: the mean over draws is what must agree, and few of them leave it in doubt."""
    lr: Positive = 1e-3
    texts: Count = 4
    tokens: Count = 64
    tolerance: Positive = 0.005
    """Largest relative difference of the mean loss over the early steps."""


def measure(settings: Settings) -> Outcome:
    ranks = (*settings.ranks, settings.reference)
    fixed = differences(settings, dict.fromkeys(ranks, 32.0))
    control = differences(settings, {rank: 2.0 * rank for rank in ranks})
    begun = settings.model_copy(update={"seeds": settings.early_seeds, "steps": settings.early})
    early, interval = largest_early(differences(begun, dict.fromkeys(ranks, 32.0)), begun)
    early_control, _ = largest_early(control, settings)
    growth = float(np.mean([grows(part, settings) for part in fixed.values()]))
    passed = interval[1] < settings.tolerance and growth > 0 and early_control > settings.tolerance
    summary = (
        f"up to {early:.2%} apart in {settings.early} steps, growing (Spearman {growth:+.2f}); "
        f"{early_control:.1%} with alpha proportional to rank"
    )
    details = {
        "at_steps": {rank: at_steps(part) for rank, part in fixed.items()},
        "alpha_proportional_to_rank": {rank: at_steps(part) for rank, part in control.items()},
        "spearman": growth,
    }
    return Outcome(judged(passed), summary, early, interval, details)


class Parted:
    """Losses of a rank and of the reference, [S, T] each."""

    def __init__(self, ours_ST: Array, reference_ST: Array) -> None:
        self.ours_ST, self.reference_ST = ours_ST, reference_ST

    def difference_T(self, seeds: Seeds | None = None) -> Array:
        """Of the losses averaged over seeds (all, or these), relative to the reference."""
        chosen = np.arange(len(self.ours_ST)) if seeds is None else seeds
        ours_T, reference_T = self.ours_ST[chosen].mean(0), self.reference_ST[chosen].mean(0)
        return np.abs(ours_T - reference_T) / reference_T


def differences(settings: Settings, alphas: dict[int, float]) -> dict[int, Parted]:
    curves = {rank: curves_of(settings, rank, alpha) for rank, alpha in alphas.items()}
    return {rank: Parted(curves[rank], curves[settings.reference]) for rank in settings.ranks}


def curves_of(settings: Settings, rank: int, alpha: float) -> Array:
    data = batches(settings.model, steps=settings.steps, texts=settings.texts, tokens=settings.tokens)
    found = []
    for seed in range(settings.seeds):
        model = with_adapter(base_model(settings.model), LoRA(rank=rank, alpha=alpha), seed)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        found.append(losses_of(model, torch.optim.Adam(trained, lr=settings.lr), data))
    return np.array(found)


def largest_early(parted: dict[int, Parted], settings: Settings) -> tuple[float, tuple[float, float]]:
    """The largest difference over ranks and early steps, and its 95 % bootstrap interval over seeds."""

    def of(seeds: Seeds | None) -> float:
        return max(float(part.difference_T(seeds)[: settings.early].max()) for part in parted.values())

    rng = np.random.default_rng(0)
    drawn = [of(rng.integers(settings.seeds, size=settings.seeds)) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return of(None), (float(low), float(high))


def grows(part: Parted, settings: Settings) -> float:
    """Rank correlation of the difference with the step, after the early ones."""
    later_T = part.difference_T()[settings.early :]
    return float(spearmanr(np.arange(len(later_T)), later_T).statistic)  # pyright: ignore[reportAttributeAccessIssue]  # scipy leaves its result untyped


def at_steps(part: Parted) -> dict[int, float]:
    difference_T = part.difference_T()
    return {step: float(difference_T[step - 1]) for step in (1, 2, 5, 10, 20, 50, 100) if step <= len(difference_T)}
