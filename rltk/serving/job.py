"""What the scheduler is asked for, and what it answers with as tokens come. Shapes: B completions, T tokens of each."""

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from rltk.rollout.sampler import Sampling, uniforms
from rltk.serving.mixing import Adapter


class Token(NamedTuple):
    id: int
    logprob: float
    """Of what `rltk.serving.logprobs.Mode` says."""
    top: list[tuple[int, float]]
    """The likeliest tokens with theirs, as many as asked for."""


class Event(NamedTuple):
    """Of one completion: its next token, and why it ends, if it does."""

    choice: int
    token: Token | None
    ending: str | None
    """stop, length, cancelled or broken (the logits were no numbers)"""


class FailedError(RuntimeError):
    """A failure of ours, which ends the whole job."""


@dataclass(eq=False)
class Job:
    """`n` completions of each prompt: completion i continues prompt i // n, and draws from a stream of its own."""

    prompts: Sequence[Sequence[int]]
    n: int
    sampling: Sampling
    seed: int
    row: int
    """Of the seed's random numbers, that of the first completion."""
    adapter: Adapter | None
    top: int = 0
    stops: tuple[int, ...] = ()
    """Beside those of the model."""
    events: "queue.SimpleQueue[Event | FailedError]" = field(default_factory=queue.SimpleQueue)
    cancelled: set[int] = field(default_factory=set)
    """Completions that nobody wants to go on."""

    @property
    def count(self) -> int:
        return len(self.prompts) * self.n

    @cached_property
    def uniforms_BT(self) -> Tensor:
        """Those of `NativeSampler.sample` with the same n and seed, and these prompts after `row` rows.

        Drawn when the first of them is needed, so a job that waits holds none.
        """
        return uniforms(self.row + self.count, self.sampling.max_new_tokens, self.seed)[self.row :].clone()

    def cancel(self) -> None:
        self.cancelled.update(range(self.count))
