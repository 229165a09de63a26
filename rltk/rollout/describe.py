"""Scores in words."""

from math import isnan
from typing import Any


def describe(score: dict[str, Any]) -> str:
    """`greedy 45.1% [42.0, 48.2], sampled 33.0% [30.1, 36.0] (n = 1000)`."""
    text = f"greedy {interval(score)}"
    if "sampled" in score:
        text += f", sampled {interval(score['sampled'])}"
    return f"{text} (n = {score['n']})"


def interval(score: dict[str, Any]) -> str:
    low, high = score["ci95"]
    if low is None or isnan(low):  # too few for one; null where scores were read from a file
        return f"{score['accuracy']:.1%} [-]"
    return f"{score['accuracy']:.1%} [{100 * low:.1f}, {100 * high:.1f}]"
