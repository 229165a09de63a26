"""Scores in words."""

from math import isnan
from typing import Any


def describe(score: dict[str, Any]) -> str:
    """`greedy 45.1% [42.0, 48.2], sampled 33.0% [30.1, 36.0] (n = 1000)`, or the same with rewards."""
    if "loss" in score:
        low, high = map(number, score["ci95"])
        return f"{score['loss']:.4f} nats a token [{low}, {high}] (n = {score['n']})"
    text = f"greedy {interval(score)}"
    if "gold_reward" in score:
        text += f", gold {interval(score['gold_reward'])}"
    if "sampled" in score:
        text += f", sampled {interval(score['sampled'])}"
    return f"{text} (n = {score['n']})"


def change(before: dict[str, Any], after: dict[str, Any]) -> str:
    """By how much the greedy score has changed: `+23.4 points` of accuracy, or a difference of rewards or losses."""
    if "loss" in after:
        return f"{after['loss'] - before['loss']:+.4f}"
    if "accuracy" in after:
        return f"{100 * (after['accuracy'] - before['accuracy']):+.1f} points"
    return f"{after['reward'] - before['reward']:+.3f}"


def interval(score: dict[str, Any]) -> str:
    low, high = score["ci95"]
    if "accuracy" in score:
        return f"{score['accuracy']:.1%} [{points(low)}, {points(high)}]"
    return f"{score['reward']:.3f} [{number(low)}, {number(high)}]"


def points(bound: float | None) -> str:
    """Of a share; a single prompt has no interval, which a file has as null."""
    return "-" if bound is None or isnan(bound) else f"{100 * bound:.1f}"


def number(bound: float | None) -> str:
    return "-" if bound is None or isnan(bound) else f"{bound:.3f}"
