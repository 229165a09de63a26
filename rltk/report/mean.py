"""Means of what may be undefined."""

from collections.abc import Sequence
from statistics import fmean


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return fmean(defined) if defined else None
