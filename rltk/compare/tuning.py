"""Phase 1: every arm's learning rates, on tuning seeds and the validation split.

All arms get equally many rates. While the best of one is its lowest or highest, every arm gets another: that arm beyond
its best, the others on the side to which theirs is nearer. Then, as often as `compare.rates.refine` says, every arm
gets the two rates halfway between its best one and its neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from rltk.compare.plan import Comparison, Planned

Scored = Callable[[Planned], "Score"]


class Score(NamedTuple):
    """What is known of a run: its score once it is finished, or the sentence it failed with; neither: not yet."""

    value: float | None = None
    failure: str | None = None

    @property
    def is_known(self) -> bool:
        return self.value is not None or self.failure is not None


class Tried(NamedTuple):
    run: Planned
    score: Score
    steps: int


class Sweep(NamedTuple):
    """All runs of one arm so far; `lr` is the best rate once that is known."""

    tried: list[Tried]
    lr: float | None
    is_interior: bool


class Tuning(NamedTuple):
    sweeps: dict[str, Sweep]
    is_complete: bool
    refinements: int
    """Rounds of `compare.rates.refine` whose rates cannot be known yet."""

    @property
    def runs(self) -> list[Planned]:
        return [tried.run for sweep in self.sweeps.values() for tried in sweep.tried]

    @property
    def pending(self) -> list[Planned]:
        return [tried.run for sweep in self.sweeps.values() for tried in sweep.tried if not tried.score.is_known]


Places = dict[str, list[float]]
"""Of every arm the rates tried, in half-decades from its centre; a refinement adds halves and quarters of one."""
Runs = dict[tuple[str, float, int], Tried]
"""By arm, place and seed."""


def tune(comparison: Comparison, scored: Scored) -> Tuning:
    """As much of the sweep as the runs there are decide; its pending runs are what is to be made next."""
    rates = comparison.recipe.compare.rates
    first: list[float] = list(range(-(rates.points // 2), rates.points - rates.points // 2))
    whole, refinements = refined(widened(Stage(comparison, scored, dict.fromkeys(comparison.arms, first), halving=0)))
    stages = [whole]
    for halving in range(1, rates.halvings + 1):
        if not stages[-1].is_known():
            break
        stages.append(Stage(comparison, scored, stages[-1].better_half(), halving))
    return gathered(comparison, stages, refinements)


def widened(stage: Stage) -> Stage:
    """With as many half-decades as it takes for all best rates to lie inside, or until `most` or a missing run."""
    most = stage.comparison.recipe.compare.rates.most
    while stage.is_known() and stage.rates < most and not all(map(stage.is_interior, stage.places)):
        stage = stage.at({arm: extended(tried, stage.means(arm)) for arm, tried in stage.places.items()})
    return stage


def refined(stage: Stage) -> tuple[Stage, int]:
    """With the rates of every refinement that is known by now, and how many refinements are not."""
    rounds = stage.comparison.recipe.compare.rates.refine
    for made in range(rounds):
        if not stage.is_known():
            return stage, rounds - made
        if not all(map(stage.means, stage.places)):
            break  # an arm failed at every rate: the comparison ends here, and says which
        stage = stage.at({arm: halfway(tried, stage.means(arm)) for arm, tried in stage.places.items()})
    return stage, 0


def gathered(comparison: Comparison, stages: Sequence[Stage], refinements: int) -> Tuning:
    whole, last = stages[0], stages[-1]
    is_complete = last.is_known() and len(stages) == comparison.recipe.compare.rates.halvings + 1
    sweeps: dict[str, Sweep] = {}
    for arm in comparison.arms:
        place = best(last.means(arm)) if is_complete else None
        lr = None if place is None else comparison.rate(arm, place)
        sweeps[arm] = Sweep([tried for stage in stages for tried in stage.tried(arm)], lr, whole.is_interior(arm))
    return Tuning(sweeps, is_complete, refinements)


class Stage:
    """Runs of equal length, one for every arm, rate and tuning seed."""

    def __init__(
        self, comparison: Comparison, scored: Scored, places: Places, halving: int, known: Runs | None = None
    ) -> None:
        self.comparison, self.scored, self.places, self.halving = comparison, scored, places, halving
        keys = [
            (arm, place, seed) for arm in places for place in sorted(places[arm]) for seed in comparison.tuning_seeds()
        ]
        self.runs: Runs = {key: (known or {}).get(key) or self.tried_run(*key) for key in keys}

    def at(self, places: Places) -> Stage:
        """Runs of this length at these rates; those that it has already are looked at once."""
        return Stage(self.comparison, self.scored, places, self.halving, self.runs)

    @property
    def rates(self) -> int:
        """Of each arm, which all have equally many."""
        return len(self.places[self.comparison.reference])

    def tried_run(self, arm: str, place: float, seed: int) -> Tried:
        steps = self.comparison.steps(arm, self.halving)
        run = self.comparison.tuning_run(arm, place, seed, steps)
        return Tried(run, self.scored(run), steps)

    def is_known(self) -> bool:
        return all(tried.score.is_known for tried in self.runs.values())

    def tried(self, arm: str) -> list[Tried]:
        return [tried for (name, _, _), tried in self.runs.items() if name == arm]

    def is_interior(self, arm: str) -> bool:
        return is_interior(self.places[arm], self.means(arm))

    def means(self, arm: str) -> dict[float, float]:
        """The mean score at each rate whose runs all came to an end, more being better; those that failed are out."""
        found: dict[float, float] = {}
        for place in self.places[arm]:
            scores = [self.runs[arm, place, seed].score.value for seed in self.comparison.tuning_seeds()]
            known = [score for score in scores if score is not None]
            if len(known) == len(scores):
                found[place] = self.comparison.sign * fmean(known)
        return found

    def better_half(self) -> Places:
        """The better half of every arm's rates, rounded up, as many in all arms."""
        count = (self.rates + 1) // 2
        return {arm: sorted(means, key=lambda place: -means[place])[:count] for arm, means in self.all_means()}

    def all_means(self) -> list[tuple[str, dict[float, float]]]:
        return [(arm, self.means(arm)) for arm in self.places]


def best(means: dict[float, float]) -> float | None:
    """The place with the highest mean, of equals the lowest; None where every rate failed."""
    return max(means, key=lambda place: (means[place], -place)) if means else None


def is_interior(places: Sequence[float], means: dict[float, float]) -> bool:
    """Whether rates on both sides of the best were tried; one at which runs failed is a side too."""
    top = best(means)
    return top is not None and min(places) < top < max(places)


def extended(places: Sequence[float], means: dict[float, float]) -> list[float]:
    """One more rate, at the end that the best one is nearer to; lower where all failed."""
    top = best(means)
    goes_up = top is not None and max(places) - top < top - min(places)
    return sorted([*places, max(places) + 1 if goes_up else min(places) - 1])


def halfway(places: Sequence[float], means: dict[float, float]) -> list[float]:
    """Two more rates, halfway between the best and its neighbors: equal budgets, so one that it lacks, being the
    lowest or highest, is taken to be as far away as the other."""
    top = best(means)
    assert top is not None
    nearest = min((abs(place - top) for place in places if place != top), default=1.0)
    return sorted([*places, top - nearest / 2, top + nearest / 2])
