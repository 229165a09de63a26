"""RL-10: whether ranks do as well as full fine-tuning however dense the rewards are, from one comparison of each."""

from collections.abc import Sequence

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome, verdict_of
from rltk.compare.readings.verdicts import equivalent


def equivalent_throughout(evidence: Sequence[Evidence]) -> Outcome:
    """Shown where each comparison shows it, so each may be tested at the full level (intersection-union; Berger 1982);
    refuted by one that refutes it. The value is that of the worst arm of all."""
    found = {named(one): equivalent([one]) for one in evidence}
    verdicts = {one.verdict for one in found.values()}
    worst = min(found.values(), key=lambda one: 0.0 if one.value is None else one.value)
    verdict = verdict_of(is_shown=verdicts == {"reproduced"}, is_refuted="not reproduced" in verdicts)
    summary = "; ".join(f"rewards for {name}: {one.summary}" for name, one in found.items())
    return worst._replace(verdict=verdict, summary=summary, details={name: one.details for name, one in found.items()})


def named(one: Evidence) -> str:
    """By the rewards of its recipe."""
    return " and ".join(one.comparison.recipe.rewards) or "answer"
