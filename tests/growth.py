"""Whether work grows in proportion to its size, on any machine: a ratio of CPU times in one process."""

import time
from collections.abc import Callable
from typing import Any

SLACK = 4.0
"""By how much more than in proportion it may grow: for caches, and for other programs."""
LEAST = 0.005
"""Seconds; what is quicker is too quick to be compared, so that ten times the work may take a fifth of a second."""


def grows_in_proportion(work: Callable[[int], Any], small: int, large: int) -> bool:
    """Of quadratic work the ratio of times is that of the sizes once more, which must exceed the slack by far."""
    assert large >= 10 * small
    quick = max(min(seconds(work, small) for _ in range(3)), LEAST)
    return seconds(work, large) <= SLACK * large / small * quick


def seconds(work: Callable[[int], Any], size: int) -> float:
    started = time.process_time()
    work(size)
    return time.process_time() - started
