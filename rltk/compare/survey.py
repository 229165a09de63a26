"""What there is of a comparison and what is missing, from its folder alone."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rltk.compare.looks import read_looks
from rltk.compare.margin import Fixed, read_fixed, refuse_early, refuse_late
from rltk.compare.measures import item_scores
from rltk.compare.outcomes import Outcome, read_outcome, refuse_strangers, refuse_unlike
from rltk.compare.plan import CONTROL, Comparison, Planned
from rltk.compare.tuning import Score, Tuning, tune
from rltk.errors import UserError


class Survey(NamedTuple):
    """`confirmation` is empty until margin and learning rates are fixed."""

    tuning: Tuning
    fixed: Fixed | None
    confirmation: list[Planned]
    outcomes: dict[str, Outcome]
    """Of every run that is known to be needed, by id."""

    @property
    def phases(self) -> dict[str, list[Planned]]:
        return {"tuning": self.tuning.runs, "confirmation": self.confirmation}

    @property
    def runs(self) -> list[Planned]:
        return [*self.tuning.runs, *self.confirmation]

    @property
    def pending(self) -> list[Planned]:
        """What is to be made next."""
        return [run for run in self.runs if not self.outcomes[run.id].is_over]

    @property
    def is_complete(self) -> bool:
        return self.fixed is not None and not self.pending


def survey(comparison: Comparison) -> Survey:
    """Refused where folders hold what does not belong there, or a confirmation run failed."""
    outcomes: dict[str, Outcome] = {}

    def scored(run: Planned) -> Score:
        outcome = outcomes.setdefault(run.id, read_outcome(comparison, run))
        if outcome.status == "finished":
            return Score(fmean(item_scores(comparison, run, "after").values()))
        return Score(failure=outcome.failure)

    tuning = tune(comparison, scored)
    refuse_strangers(comparison, "tuning", tuning.runs)
    refuse_unlike(comparison, [run for run in tuning.runs if outcomes[run.id].status == "finished"])
    fixed = read_fixed(comparison, tuning)
    if fixed is None:
        refuse_late(comparison)
        return Survey(tuning, None, [], outcomes)
    confirmation = confirmation_runs(comparison, fixed)
    outcomes |= {run.id: read_outcome(comparison, run) for run in confirmation}
    refuse_strangers(comparison, "confirmation", confirmation)
    refuse_unlike(comparison, [run for run in confirmation if outcomes[run.id].status == "finished"])
    refuse_early(fixed, {run.id: outcomes[run.id].manifest for run in confirmation if outcomes[run.id].manifest})
    refuse_failed(comparison.path, confirmation, outcomes)
    return Survey(tuning, fixed, confirmation, outcomes)


def confirmation_runs(comparison: Comparison, fixed: Fixed) -> list[Planned]:
    """Seed by seed, so that when time runs out whole seeds are there."""
    arms = [*comparison.arms, CONTROL]
    seeds = comparison.confirmation_seeds(read_looks(comparison.path, fixed.chain)[-1])
    return [comparison.confirmation_run(arm, fixed.rates[arm], seed) for seed in seeds for arm in arms]


def refuse_failed(path: Path, runs: list[Planned], outcomes: dict[str, Outcome]) -> None:
    """A verdict without the seeds that went wrong would flatter the arm in which they did."""
    failed = [run for run in runs if outcomes[run.id].status == "failed"]
    if failed:
        raise UserError(
            f"the {failed[0]} failed ({outcomes[failed[0].id].failure}); a verdict that left such seeds out would "
            f"flatter the arm, so {path} has none: start another comparison with lower compare.rates.centre."
        )


def refuse_incomplete(comparison: Comparison, found: Survey) -> None:
    if found.is_complete:
        return
    pending = found.pending
    what = f"{len(pending)} runs are missing, such as the {pending[0]}" if pending else "its margin is not fixed"
    raise UserError(
        f"{comparison.path} is not complete: {what}; go on with `rltk compare`, or copy in the run folders that "
        "another machine has made."
    )
