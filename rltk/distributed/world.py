"""The processes that train together, and what they tell each other. A process alone is a world of one.

All of them call these functions in the same order. Only the first writes the run folder and speaks.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from rltk.errors import UserError

T = TypeVar("T")

SHORTEST, LONGEST = 1e-5, 0.05
"""Seconds between looks at whether all have come."""


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    return rank() == 0


def own_stream() -> tuple[int, ...]:
    """What to derive a seed with where processes must not draw the same; of the first it is what it is of one alone."""
    return (rank(),) if rank() else ()


def device() -> torch.device:
    """The accelerator that is this process's."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def gather(mine: T) -> list[T]:
    """What every process has, in the order of their ranks."""
    if size() == 1:
        return [mine]
    wait_for_all()
    found: list[T] = [mine] * size()
    dist.all_gather_object(found, mine)
    return found


def wait_for_all() -> None:
    """Until all have come here. Signals are heard meanwhile, as they are not by what waits inside of torch."""
    coming, pause = dist.all_reduce(torch.zeros(1), async_op=True), SHORTEST
    assert coming is not None
    while not coming.is_completed():
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)
    coming.wait()


def share(work: Callable[[], T]) -> list[T]:
    """The results of all processes, each of its own `work`; where one cannot, its `UserError` is raised in all."""
    if size() == 1:
        return [work()]
    outcomes = gather(attempted(work))
    errors = [outcome for outcome in outcomes if isinstance(outcome, UserError)]
    if errors:
        errors[0].is_shared = True
        raise errors[0]
    return [outcome[0] for outcome in outcomes if isinstance(outcome, tuple)]


def of_first(work: Callable[[], T]) -> T:
    """The result of the first process, which alone does the work; its `UserError` is raised in all."""
    ((result,), *_) = share(lambda: [work()] if is_first() else [])
    return result


def attempted(work: Callable[[], T]) -> tuple[T] | UserError:
    try:
        return (work(),)
    except UserError as error:
        return error


def meet() -> None:
    """What any process has written before is there for all of them afterwards."""
    gather(None)


def is_any(mine: bool) -> bool:
    """Whether it is true in any process."""
    return any(gather(mine))


def most(mine: int) -> int:
    return max(gather(mine))


def add_up(tensors: Sequence[Tensor]) -> None:
    """Each becomes the sum of what all processes hold in its place."""
    if size() == 1 or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
