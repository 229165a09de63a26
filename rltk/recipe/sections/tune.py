"""The section `tune`: LoRA or full fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rltk.recipe.fields import Count, Flag, Fraction, Positive, Section, Text


class LoRA(Section):
    """Low-rank adapters train; the base stays as it is."""

    type: Literal["lora"] = "lora"
    rank: Count = 8
    alpha: Positive = 32.0
    """The adapter's output is scaled by alpha / rank."""
    dropout: Fraction = 0.0
    targets: Literal["all-linear", "attention", "mlp"] | Annotated[tuple[Text, ...], Field(min_length=1)] = "all-linear"
    """Layers that get an adapter: a kind, or a list of module names."""
    use_dora: Flag = False
    """Learn the length of each weight's rows apart from their direction (DoRA, arXiv 2402.09353); slower."""
    use_rslora: Flag = False
    """Scale by alpha / sqrt(rank), which keeps the size of updates at high ranks (rsLoRA, arXiv 2312.03732)."""
    init: Literal["zero", "pissa"] = "zero"
    """What an adapter begins as: nothing, or the weight's leading singular directions (PiSSA, arXiv 2404.02948)."""
    expert_rank: Literal["same", "divided"] = "same"
    """Rank in each expert of a mixture: the same, or rank / active experts (at least 1), for the same active size."""


class Full(Section):
    """Every weight trains."""

    type: Literal["full"] = "full"


Tune = Annotated[LoRA | Full, Field(discriminator="type")]
