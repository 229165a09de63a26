"""A finding read from finished comparisons, with when, from what commit and from which runs."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Any

from rltk.compare.catalogue import ComparisonOf, Finding, Profile, Reanalysis
from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome, Verdict, ends
from rltk.compare.readings import READINGS
from rltk.errors import UserError
from rltk.run.manifest import now

MADE_WITH = ("commit", "versions", "hardware")
LOSS_SEEN: dict[str, Verdict] = {
    "attention_inferior": "reproduced",
    "equivalent": "not reproduced",
    "non_inferior": "not reproduced",
    "non_inferior_at_ratio": "not reproduced",
}
"""What each of these readings comes to because of a loss beyond the margin."""


def reread(
    finding: Finding, evidence: Sequence[Evidence], profile: Profile, sources: Sequence[str] = ()
) -> dict[str, Any]:
    """The result, as its file has it but for the id; refused unless every comparison is complete.

    `sources` are folders that a person named, rather than those where the finding's comparisons are made.
    """
    experiment = finding.experiment
    assert isinstance(experiment, (ComparisonOf, Reanalysis))
    for one in evidence:
        refuse_incomplete(finding, one)
    read = READINGS[experiment.reading](evidence)
    outcome = where_a_loss_would_show(read, evidence, LOSS_SEEN.get(experiment.reading))
    outcome = outcome._replace(interval=ends(outcome.interval))
    comparisons = [summary(one) for one in evidence]
    if isinstance(experiment, Reanalysis):
        comparisons = [{key: one[key] for key in ("folder", "hash", "runs")} for one in comparisons]
    return outcome._asdict() | {
        "profile": profile,
        "command": " ".join(["rltk findings", finding.id, *(f"--from {quote(source)}" for source in sources)]),
        "date": now(),
        **made_with(evidence),
        "comparisons": comparisons,
    }


def where_a_loss_would_show(outcome: Outcome, evidence: Sequence[Evidence], loss: Verdict | None) -> Outcome:
    """Undecided, whatever it reads as, where full fine-tuning gained too little or the control was not found inferior.

    The family's verdict does not tell: it is "inferior" as soon as one arm is, and other arms may still be found alike.
    A loss that was seen, which `loss` is the verdict of, needs no proof that one would be.
    """
    blind = [one for one in evidence if not is_sensitive(one)]
    is_seen = outcome.verdict == loss and all(one.conclusion["family"]["verdict"] == "inferior" for one in blind)
    if not blind or outcome.verdict == "reported" or is_seen:
        return outcome
    names = ", ".join(one.comparison.recipe.name for one in blind)
    summary = f"{outcome.summary}; the runs could not have shown a loss ({names})"
    return outcome._replace(verdict="inconclusive", summary=summary)


def is_sensitive(one: Evidence) -> bool:
    return all(verdict["assay"]["sensitive"] for verdict in one.conclusion["verdicts"].values())


def summary(one: Evidence) -> dict[str, Any]:
    """comparison.json, small and without completions: every run's arm, rate, seed and score is in it."""
    runs = len(one.found.runs)
    return {"folder": str(one.comparison.path), "hash": one.comparison.hash, "runs": runs} | one.conclusion


def made_with(evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Of the runs, not of this process: what they were made with is what was measured."""
    manifests = [outcome.manifest for one in evidence for outcome in one.found.outcomes.values() if outcome.manifest]
    found: dict[str, Any] = {}
    for key in MADE_WITH:
        kinds = [manifest.get(key) for manifest in manifests]
        found[key] = kinds[0]
        if any(kind != kinds[0] for kind in kinds):
            found[f"other_{key}"] = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]][1:]
    return found


def refuse_incomplete(finding: Finding, one: Evidence) -> None:
    if not one.found.is_complete:
        folder = one.comparison.path
        command = f"rltk compare {quote(str(folder))}"
        raise UserError(f"{finding.id} is read from {folder}, which is not finished; go on with: {command}")
