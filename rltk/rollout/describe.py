"""Scores in words."""

from math import isnan
from typing import Any


def describe(score: dict[str, Any]) -> str:
    """`greedy 45.1% [42.0, 48.2], sampled 33.0% [30.1, 36.0] (n = 1000)`, or the same with rewards."""
    if "loss" in score:
        low, high = map(number, score["ci95"])
        return f"{number(score['loss'], 4)} nats a token [{low}, {high}] (n = {score['n']})"
    text = f"greedy {interval(score)}"
    if "gold_reward" in score:
        text += f", gold {interval(score['gold_reward'])}"
    if "sampled" in score:
        text += f", sampled {interval(score['sampled'])}"
    return f"{text} (n = {score['n']})"


def change(before: dict[str, Any], after: dict[str, Any]) -> str:
    """By how much the greedy score has changed: `+23.4 points` of accuracy, or a difference of rewards or losses."""
    key = next(key for key in ("loss", "accuracy", "reward") if key in after)
    was, is_now = before[key], after[key]
    if was is None or is_now is None:
        return "no change to tell of"
    if key == "accuracy":
        return f"{100 * (is_now - was):+.1f} points"
    return f"{is_now - was:+.4f}" if key == "loss" else f"{is_now - was:+.3f}"


def interval(score: dict[str, Any]) -> str:
    low, high = score["ci95"]
    if "accuracy" in score:
        return f"{score['accuracy']:.1%} [{points(low)}, {points(high)}]"
    return f"{number(score['reward'])} [{number(low)}, {number(high)}]"


def points(bound: float | None) -> str:
    """Of a share; a single prompt has no interval, which a file has as null."""
    return "-" if bound is None or isnan(bound) else f"{100 * bound:.1f}"


def number(value: float | None, digits: int = 3) -> str:
    """A dash for what is undefined: a mean of rewards of which none could be told, the loss of weights gone astray."""
    return "-" if value is None or isnan(value) else f"{value:.{digits}f}"
