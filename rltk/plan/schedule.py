"""The learning rate over the steps of a run, as a factor on its peak."""

import math

from rltk.recipe.schema import Optim


def schedule(optim: Optim, step: int) -> float:
    """The factor on the learning rate at `step`, counted from 0."""
    if step < optim.warmup:
        return (step + 1) / optim.warmup
    done = (step - optim.warmup) / max(1, optim.steps - optim.warmup)
    match optim.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - done
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
