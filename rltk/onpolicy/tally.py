"""What one step adds up for its metrics. Shapes: B completions, T completion tokens (padded on the right)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from rltk.models.scoring import Scores
from rltk.onpolicy.objective import k3

SUMS = ("loss", "tokens", "kl", "entropy", "clipped", "mismatch", "moved", "value_loss", "values_clipped")


@dataclass
class Tally:
    """Sums over the trained tokens of one step, for its metrics."""

    passes: int = 0
    """Over a batch of an optimizer step; one more than `updates` where algo.stop_kl forbade the last."""
    loss: float = 0.0
    tokens: int = 0
    kl: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0
    mismatch: float = 0.0
    largest_mismatch: float = 0.0
    moved: float = 0.0
    """Of the KL divergence from the policy that sampled, as far as it was moved on meanwhile."""
    value_loss: float = 0.0
    values_clipped: float = 0.0
    critic: dict[str, float] = field(default_factory=dict)
    """Of the critic before the first update."""
    kl_coefficient: float = 0.0
    """Of the step; algo.kl_target moves it from one to the next."""
    grad_norms: list[float] = field(default_factory=list)
    skipped: int = 0
    updates: int = 0
    """Optimizer steps made or skipped; fewer than asked for where algo.stop_kl ended them."""

    def with_parts(self, parts: Sequence["Tally"]) -> "Tally":
        """One pass more, with the sums over parts of its batch and the largest of what is a maximum."""
        sums = {name: getattr(self, name) + sum(getattr(part, name) for part in parts) for name in SUMS}
        largest = max(tally.largest_mismatch for tally in (self, *parts))
        return replace(self, **sums, passes=self.passes + 1, largest_mismatch=largest)

    def loss_of(self, total: float) -> float:
        """Mean over the passes, each of which adds up to the loss of its batch."""
        return total / max(1, self.passes)

    def mean(self, total: float) -> float:
        """Per trained token; nan when none was trained."""
        return total / self.tokens if self.tokens else math.nan


def observe(tally: Tally, scores: Scores, old_BT: Tensor, sampled_BT: Tensor, mask_BT: Tensor) -> None:
    """Adds what does not enter the loss: entropy, and how far the sampler's log-probabilities are from the policy's.

    The mismatch is the k3 estimate of KL(sampler || policy as it was when the step began).
    """
    difference_N = (old_BT - sampled_BT)[mask_BT]
    tally.tokens += len(difference_N)
    tally.entropy += scores.entropy_BT.sum().item()
    tally.mismatch += k3(difference_N).sum().item()
    tally.moved += k3((scores.logprobs_BT.detach() - old_BT)[mask_BT]).sum().item()
    tally.largest_mismatch = max(tally.largest_mismatch, difference_N.abs().max().item())
