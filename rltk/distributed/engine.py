"""What stands between a loss and the weights: how gradients of several processes meet, and who holds which weights."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from rltk.distributed import world
from rltk.run.checkpoint import Stored

T = TypeVar("T")


class Engine(Protocol):
    """One optimizer step is `begin`, forward and backward passes, `add_up` and `step`."""

    is_even: bool
    """Whether all processes have to make equally many passes."""
    holds_all: bool
    """Whether each process holds all weights at all times."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """It has the learning rates."""
        ...

    def begin(self) -> None: ...

    def forward(self, work: Callable[[], Tensor]) -> Tensor:
        """The loss that `work` gives, within which models are called."""
        ...

    def backward(self, loss: Tensor, *, is_last: bool, is_followed: bool = False) -> None:
        """Of a loss from `forward`; `is_last` of those before the next step, `is_followed` by that of other weights on
        the same micro-batch."""
        ...

    def add_up(self) -> None:
        """Gradients are now those of the sum of all processes' losses."""
        ...

    def step(self, max_norm: float) -> list[float] | None:
        """The gradient's norm of each of the optimizer's groups, which are clipped apart; None where one is not finite
        and so no step was made."""
        ...

    def whole(self) -> AbstractContextManager[None]:
        """Within it this process holds all weights and may call the model as often as it likes."""
        ...

    def stored(self) -> AbstractContextManager[Stored]:
        """Within it this process holds all weights and all of the optimizer's state."""
        ...

    def restoring(self) -> AbstractContextManager[Stored]:
        """Weights and state that are put in place within become those of all processes."""
        ...


class Replicas:
    """Every process holds everything and makes the same steps; alone, this is plain PyTorch."""

    is_even, holds_all = False, True

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def trained(self) -> list[nn.Parameter]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    def begin(self) -> None:
        for weight in self.trained:
            weight.grad = torch.zeros_like(weight)  # not None: Adam's momentum moves on though nothing is learned

    def forward(self, work: Callable[[], Tensor]) -> Tensor:
        return work()

    def backward(self, loss: Tensor, *, is_last: bool, is_followed: bool = False) -> None:
        loss.backward()

    def add_up(self) -> None:
        world.add_up([weight.grad for weight in self.trained if weight.grad is not None])

    def step(self, max_norm: float) -> list[float] | None:
        # Apart, so that a critic that is far off at first does not scale the policy's gradient down.
        norms = [float(nn.utils.clip_grad_norm_(group["params"], max_norm)) for group in self.optimizer.param_groups]
        if not all(map(math.isfinite, norms)):  # one bad batch must not end in weights of nan
            return None
        self.optimizer.step()
        return norms

    def whole(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def stored(self) -> Iterator[Stored]:
        yield self.optimizer

    @contextmanager
    def restoring(self) -> Iterator[Stored]:
        yield self.optimizer


def even(batches: Sequence[T], filler: T) -> list[tuple[T, bool]]:
    """The batches, each with whether it counts, and fillers after them: as many as the process that has most, 1 at
    least."""
    missing = max(1, world.most(len(batches))) - len(batches)
    return [(batch, True) for batch in batches] + [(filler, False)] * missing
