"""Which rows of the data a run can use: those it will come to are measured before any weights load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rltk.data.problems import used


class Row(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Row)


@dataclass(frozen=True)
class Kept(Generic[T]):
    rows: list[T]
    """All that fit, and those that the run will not come to."""
    left_out: dict[str, str]
    """By id: the end of a sentence that says why."""


def keep_fitting(rows: Sequence[T], count: int, misfit: Callable[[T], str | None], *, seed: int) -> Kept[T]:
    """The rows without those that do not fit among the first `count` places of their order.

    What is left out makes room for others, which are measured in turn.
    """
    kept, reasons = list(rows), dict[str, str | None]()
    while kept:
        coming = [row for row in used(kept, count, seed=seed) if row.id not in reasons]
        for row in coming:
            reasons[row.id] = misfit(row)
        if not any(reasons[row.id] for row in coming):
            break
        kept = [row for row in kept if reasons.get(row.id) is None]
    return Kept(kept, {id: reason for id, reason in reasons.items() if reason is not None})
