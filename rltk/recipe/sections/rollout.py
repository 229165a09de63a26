"""The section `rollout`: how completions are sampled while training."""

from __future__ import annotations

from typing import Literal

from rltk.recipe.fields import Count, Fraction, Positive, Section, Share, Whole


class Rollout(Section):
    """How completions are sampled while training."""

    engine: Literal["auto", "native", "generate"] = "auto"
    """native is rltk's own and fast; generate is that of transformers, for models native cannot run."""
    max_new_tokens: Count = 512
    """Length at which a completion is cut off."""
    temperature: Positive = 1.0
    """Softmax temperature of sampling, and of the log-probabilities that are trained."""
    top_k: Whole = 0
    """Sample from the k likeliest tokens only; 0 from all."""
    top_p: Share = 1.0
    """Sample from the likeliest tokens that hold this much probability; 1 from all."""
    min_p: Fraction = 0.0
    """Sample from tokens at least this likely relative to the likeliest; 0 from all."""
    batch: Count | None = None
    """Completions sampled at once: less saves memory; null is all of a step, on a GPU as many as fit."""
