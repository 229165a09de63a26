"""Findings that are the verdict of a comparison."""

from collections.abc import Sequence
from typing import Any

from rltk_eval.equivalence.families import NOT_INFERIOR, WITHIN_MARGIN

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome, Verdict, verdict_of
from rltk.compare.readings.rates import RATIO, ratio


def non_inferior(evidence: Sequence[Evidence]) -> Outcome:
    """Every arm is shown not to be inferior to the reference."""
    (one,) = evidence
    family = one.conclusion["family"]["verdict"]
    return outcome(one, verdict_of(is_shown=family in NOT_INFERIOR, is_refuted=family == "inferior"))


def equivalent(evidence: Sequence[Evidence]) -> Outcome:
    """Every arm is shown to lie within the margin; refuted by one that is shown to lie outside, on either side."""
    (one,) = evidence
    margin, family = one.conclusion["margin"]["value"], one.conclusion["family"]["verdict"]
    beyond = [v for v in one.conclusion["verdicts"].values() if v["interval"][0] is not None and is_beyond(v, margin)]
    return outcome(one, verdict_of(is_shown=family in WITHIN_MARGIN, is_refuted=bool(beyond)))


def non_inferior_at_ratio(evidence: Sequence[Evidence]) -> Outcome:
    """As `non_inferior`, and the best learning rate is about ten times the reference's."""
    shown, rates = non_inferior(evidence), ratio(evidence)
    verdicts = {shown.verdict, rates.verdict}
    verdict = verdict_of(is_shown=verdicts == {"reproduced"}, is_refuted="not reproduced" in verdicts)
    details = shown.details | {"ratio": rates.details, "ratio_must_lie_within": list(RATIO)}
    return shown._replace(verdict=verdict, summary=f"{shown.summary}; {rates.summary}", details=details)


def is_beyond(verdict: dict[str, Any], margin: float) -> bool:
    low, high = verdict["interval"]
    return low > margin or high < -margin


def outcome(one: Evidence, verdict: Verdict) -> Outcome:
    """The value is that of the worst arm, with the interval of its verdict."""
    found = one.conclusion
    worst = min(found["verdicts"].values(), key=lambda row: row["difference"])
    each = ", ".join(f"{arm} {shown(one, row['difference'])}" for arm, row in found["verdicts"].items())
    seeds = len(worst["seeds"])
    summary = f"{each} (margin {shown(one, found['margin']['value'])}, {seeds} seeds): {found['family']['verdict']}"
    low, high = worst["interval"]
    interval = None if low is None else (low, high)
    return Outcome(verdict, summary.replace("_", " "), worst["difference"], interval, {"arm": worst["arm"]})


def shown(one: Evidence, difference: float) -> str:
    """Positive is better than the reference: in points, or in nats."""
    is_loss = one.comparison.sign < 0
    return f"{difference:+.4f} nats" if is_loss else f"{100 * difference:+.1f}"
