"""The section `optim`: the optimizer and its schedule."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from rltk.recipe.fields import Count, Fraction, NonNegative, Positive, Section, Whole, broken_rule


class Optim(Section):
    """AdamW and its schedule."""

    lr: Literal["auto"] | Positive = "auto"
    """Peak learning rate; auto picks one for the model, the algorithm and the tuning."""
    steps: Count = 200
    """Steps of the loop: each on fresh completions, or on the next algo.batch examples."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Learning rate after the warmup: constant, or down to zero."""
    warmup: Whole = 0
    """Steps over which the learning rate rises to its peak."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    max_grad_norm: Positive = 1.0
    """A gradient longer than this is scaled down to it."""
    micro_tokens: Count = 16384
    """Tokens in one forward and backward pass: less saves memory and changes nothing else."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> Optim:
        if self.warmup >= self.steps:
            raise broken_rule(f"must be less than optim.steps ({self.steps})", "warmup", "steps")
        return self
