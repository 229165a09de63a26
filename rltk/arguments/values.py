"""Readers of values: what argparse calls `type`."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} must be a whole number of at least {least}")
        return int(text)

    return read


def positive(text: str) -> float:
    value = number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be a number greater than 0")
    return value


def not_negative(text: str) -> float:
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be a number of at least 0")
    return value


def number(text: str) -> float:
    """nan if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def named(text: str) -> str:
    """Not empty, as the value of a shell's variable that was never set is."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text names nothing")
    return text


def cluster(text: str) -> str:
    """`ray`, or the address of a Ray cluster."""
    if text != "ray" and not re.fullmatch(r"ray://[^/\s]+:\d+", text):
        raise argparse.ArgumentTypeError(f"{text} must be ray, or an address such as ray://host:10001")
    return text


def limit(text: str) -> int | str:
    return text if text == "all" else whole(1)(text)


def seconds(text: str) -> float:
    """Seconds in `90s`, `30m` or `1h30m`."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or match is None:
        raise argparse.ArgumentTypeError(f"{text} must be a time such as 90s, 30m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60 * minutes + rest


def part_of(text: str) -> tuple[int, int]:
    """The I-th of N parts."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text} must be a part such as 1/2 or 2/2")
    return int(match[1]), int(match[2])
