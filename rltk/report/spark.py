"""A line of numbers as a line of text."""

from collections.abc import Sequence

from rltk.report.mean import mean

BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
"""A blank, then one to eight eighths of a block."""


def spark(values: Sequence[float | None], width: int) -> str:
    """One character a value, or a mean of neighbours where there are more than `width`; a blank for what is None."""
    means = [mean(part) for part in stretches(values, width)]
    defined = [value for value in means if value is not None]
    low, high = min(defined, default=0.0), max(defined, default=0.0)
    return "".join(bar(value, low, high) for value in means)


def bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return BARS[0]
    height = 0.5 if high == low else (value - low) / (high - low)
    return BARS[1 + round(height * 7)]


def stretches(values: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    """At most `width` parts of as equal a length as can be."""
    count = min(width, len(values))
    return [values[len(values) * at // count : len(values) * (at + 1) // count] for at in range(count)]
