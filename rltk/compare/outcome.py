"""What measuring a finding gives. No torch."""

from __future__ import annotations

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
