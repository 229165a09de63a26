"""Axes of a chart: where values lie, which of them are marked, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

UNITS = {"share", "points", "bytes"}
"""Besides plain numbers: shares are shown in per cent, differences of shares in points, bytes in GiB."""

GIB = 2**30

ALIKE = 1e-9
"""Values that differ by less, relatively, are one value: means of a constant are off by rounding."""


class Axis(NamedTuple):
    """Maps values from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(v) for v in (self.low, self.high, value)) if self.is_log else (*self[:2], value)
        return round(self.start + (at - low) / (high - low) * (self.end - self.start), 1)


def make_axis(values: Iterable[float], start: float, end: float, *, is_log: bool = False) -> Axis:
    """An axis on which all values lie, with some room around them where they are all alike."""
    found = list(values)
    low, high = min(found, default=0.0), max(found, default=1.0)
    if is_log:
        return Axis(low / 1.3, high * 1.3, start, end, True)
    if high - low <= ALIKE * max(abs(low), abs(high)):
        room = abs(low) / 2 or 0.5
        return Axis(low - room, high + room, start, end)
    return Axis(low, high, start, end)


def ticks(axis: Axis, most: int = 5, *, per: float = 1.0) -> list[float]:
    """At most about `most` values on the axis, round in units of `per`: 1, 2 or 5 times a power of ten apart.

    Powers if it is logarithmic.
    """
    if axis.is_log:
        return log_ticks(axis)
    step = round_step((axis.high - axis.low) / per / most) * per
    first = math.ceil(axis.low / step - 1e-9)
    last = math.floor(axis.high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def log_ticks(axis: Axis) -> list[float]:
    exponents = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    found = [factor * 10.0**e for e in exponents for factor in (1, 3) if axis.low <= factor * 10.0**e <= axis.high]
    return found or [axis.low, axis.high]


def round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def written(value: float | None, unit: str = "") -> str:
    """`93.4%`, `+1.2`, `12,345` or `0.0123`; a dash for what is undefined."""
    if value is None or math.isnan(value):
        return "-"
    if unit == "share":
        return f"{100 * value:.1f}%"
    if unit == "points":
        return f"{100 * value:+.1f}"
    if unit == "bytes":
        return f"{value / GIB:.3g} GiB"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def tick_label(value: float, unit: str) -> str:
    """A tick's round value, without the digits that it does not need; of bytes, which need the room, without GiB."""
    if unit == "share":
        return f"{100 * value:.4g}%"
    if unit == "points":
        return f"{100 * value:+.4g}" if value else "0"
    if unit == "bytes":
        return f"{value / GIB:.6g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
