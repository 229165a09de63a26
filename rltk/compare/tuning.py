"""Phase 1: every arm's learning rates, on tuning seeds and the validation split.

All arms get equally many rates. While the best of one is its lowest or highest, every arm gets another: that arm beyond
its best, the others on the side to which theirs is nearer.
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

    @property
    def runs(self) -> list[Planned]:
        return [tried.run for sweep in self.sweeps.values() for tried in sweep.tried]

    @property
    def pending(self) -> list[Planned]:
        return [tried.run for sweep in self.sweeps.values() for tried in sweep.tried if not tried.score.is_known]


Places = dict[str, list[int]]
"""Of every arm the rates tried, in half-decades from its centre."""


def tune(comparison: Comparison, scored: Scored) -> Tuning:
    """As much of the sweep as the runs there are decide; its pending runs are what is to be made next."""
    rates = comparison.recipe.compare.rates
    places = {arm: list(range(-(rates.points // 2), rates.points - rates.points // 2)) for arm in comparison.arms}
    stage = Stage(comparison, scored, places, halving=0)
    while stage.is_known() and len(places[comparison.reference]) < rates.most:
        grown = {arm: extended(tried, stage.means(arm)) for arm, tried in places.items()}
        if all(is_interior(tried, stage.means(arm)) for arm, tried in places.items()):
            break
        places = grown
        stage = Stage(comparison, scored, places, halving=0)
    stages, interior = [stage], {arm: is_interior(places[arm], stage.means(arm)) for arm in places}
    for halving in range(1, rates.halvings + 1):
        if not stages[-1].is_known():
            break
        stages.append(Stage(comparison, scored, stages[-1].better_half(), halving))
    return gathered(comparison, stages, interior)


def gathered(comparison: Comparison, stages: Sequence[Stage], interior: dict[str, bool]) -> Tuning:
    last = stages[-1]
    is_complete = last.is_known() and len(stages) == comparison.recipe.compare.rates.halvings + 1
    sweeps: dict[str, Sweep] = {}
    for arm in comparison.arms:
        place = best(last.means(arm)) if is_complete else None
        lr = None if place is None else comparison.rate(arm, place)
        sweeps[arm] = Sweep([tried for stage in stages for tried in stage.tried(arm)], lr, interior[arm])
    return Tuning(sweeps, is_complete)


class Stage:
    """Runs of equal length, one for every arm, rate and tuning seed."""

    def __init__(self, comparison: Comparison, scored: Scored, places: Places, halving: int) -> None:
        self.comparison, self.places = comparison, places
        self.runs = {
            (arm, place, seed): self.tried_run(scored, arm, place, seed, halving)
            for arm in places
            for place in sorted(places[arm])
            for seed in comparison.tuning_seeds()
        }

    def tried_run(self, scored: Scored, arm: str, place: int, seed: int, halving: int) -> Tried:
        steps = self.comparison.steps(arm, halving)
        run = self.comparison.tuning_run(arm, place, seed, steps)
        return Tried(run, scored(run), steps)

    def is_known(self) -> bool:
        return all(tried.score.is_known for tried in self.runs.values())

    def tried(self, arm: str) -> list[Tried]:
        return [tried for (name, _, _), tried in self.runs.items() if name == arm]

    def means(self, arm: str) -> dict[int, float]:
        """The mean score at each rate whose runs all came to an end, more being better; those that failed are out."""
        found: dict[int, float] = {}
        for place in self.places[arm]:
            scores = [self.runs[arm, place, seed].score.value for seed in self.comparison.tuning_seeds()]
            known = [score for score in scores if score is not None]
            if len(known) == len(scores):
                found[place] = self.comparison.sign * fmean(known)
        return found

    def better_half(self) -> Places:
        """The better half of every arm's rates, rounded up, as many in all arms."""
        count = (len(self.places[self.comparison.reference]) + 1) // 2
        return {arm: sorted(means, key=lambda place: -means[place])[:count] for arm, means in self.all_means()}

    def all_means(self) -> list[tuple[str, dict[int, float]]]:
        return [(arm, self.means(arm)) for arm in self.places]


def best(means: dict[int, float]) -> int | None:
    """The place with the highest mean, of equals the lowest; None where every rate failed."""
    return max(means, key=lambda place: (means[place], -place)) if means else None


def is_interior(places: Sequence[int], means: dict[int, float]) -> bool:
    """Whether rates on both sides of the best were tried; one at which runs failed is a side too."""
    top = best(means)
    return top is not None and min(places) < top < max(places)


def extended(places: Sequence[int], means: dict[int, float]) -> list[int]:
    """One more rate, at the end that the best one is nearer to; lower where all failed."""
    top = best(means)
    goes_up = top is not None and max(places) - top < top - min(places)
    return sorted([*places, max(places) + 1 if goes_up else min(places) - 1])
