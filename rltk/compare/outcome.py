"""What measuring a finding gives. No torch."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal, NamedTuple

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "reported"]
"""`reported`: the finding has no pass rule, so there is a number and no judgement."""


class Outcome(NamedTuple):
    verdict: Verdict
    summary: str
    """What was measured, in a few words, for the table."""
    value: float | None
    """The number that the rule is about; None where it is not defined."""
    interval: tuple[float, float] | None
    """95 % where nothing else is said; None for what has no chance in it."""
    details: dict[str, Any]


def judged(passed: bool) -> Verdict:
    return "reproduced" if passed else "not reproduced"


def verdict_of(*, is_shown: bool, is_refuted: bool) -> Verdict:
    """Neither, where chance may have made what was seen."""
    if is_refuted:
        return "not reproduced"
    return "reproduced" if is_shown else "inconclusive"


def ends(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """None for an interval that has no ends, such as that of seeds which all came to the same."""
    return interval if interval is not None and all(map(isfinite, interval)) else None
