"""A comparison as readings of findings take it: its verdicts, its sweep, and the curves of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rltk_eval.equivalence.paired import paired_mean, t_interval
from rltk_eval.equivalence.scores import Array

from rltk.compare.conclusion import concluded
from rltk.compare.costs import costs
from rltk.compare.plan import Comparison, Planned, read_plan
from rltk.compare.survey import Survey, survey
from rltk.errors import UserError
from rltk.run.curves import curves_of
from rltk.run.folder import read_metrics


@dataclass(frozen=True)
class Evidence:
    """Its folder is looked at once, when that is first needed, and nothing is written there."""

    comparison: Comparison

    @cached_property
    def found(self) -> Survey:
        return survey(self.comparison)

    @cached_property
    def conclusion(self) -> dict[str, Any]:
        """What comparison.json says, made anew from the run folders, which stay as they are."""
        return concluded(self.comparison, self.found)

    @cached_property
    def costs(self) -> dict[str, Any]:
        """Of each arm: seconds a step, tokens and more; see costs.py."""
        return costs(self.comparison, self.found)

    @property
    def reference(self) -> str:
        return self.comparison.reference

    @property
    def others(self) -> list[str]:
        return self.comparison.others

    def score_S(self, arm: str) -> Array:
        """What each confirmation seed of an arm scored, in the order of seeds."""
        seeds = self.conclusion["arms"][arm]["seeds"]
        return np.array([seeds[seed] for seed in sorted(seeds, key=int)], float)

    def better_S(self, arm: str, than: str) -> Array:
        """By how much an arm is better than another, seed by seed."""
        return self.comparison.sign * (self.score_S(arm) - self.score_S(than))

    def runs(self, arm: str) -> list[Planned]:
        """The confirmation runs of an arm, in the order of seeds."""
        return sorted((run for run in self.found.confirmation if run.arm == arm), key=lambda run: run.seed)

    def curve(self, arm: str, metric: str) -> tuple[Array, Array]:
        """Steps [T] at which all runs of the arm logged a number, and what they logged [S, T]."""
        found = curves_of(metric, {run.seed: read_metrics(self.comparison.folder(run)) for run in self.runs(arm)})
        if len(found.step_T) < 2:
            raise UserError(f"the runs of {arm} in {self.comparison.path} logged no {metric} at two steps or more.")
        return found.step_T, found.value_ST


def mean_interval(values_S: Array, confidence: float) -> tuple[float, float, float]:
    """Mean over seeds with its t interval: mean, low, high."""
    paired = paired_mean(values_S)
    low, high = t_interval(paired, confidence)
    return paired.mean, low, high


def read_evidence(path: Path) -> Evidence:
    return Evidence(read_plan(path))
