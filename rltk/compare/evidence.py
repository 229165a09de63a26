"""A comparison as readings of findings take it: its verdicts, its sweep, and the curves of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rltk_eval.equivalence.paired import paired_mean, t_interval
from rltk_eval.equivalence.scores import Array

from rltk.compare.conclusion import conclude
from rltk.compare.plan import Comparison, Planned, read_plan
from rltk.compare.survey import Survey, survey
from rltk.errors import UserError
from rltk.run.folder import read_metrics


@dataclass(frozen=True)
class Evidence:
    comparison: Comparison

    @cached_property
    def found(self) -> Survey:
        return survey(self.comparison)

    @cached_property
    def conclusion(self) -> dict[str, Any]:
        """comparison.json, made anew from the run folders; refused unless all of them are there."""
        return conclude(self.comparison)

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
        rows = [
            {row["step"]: row[metric] for row in read_metrics(self.comparison.folder(run))
             if row.get(metric) is not None}
            for run in self.runs(arm)
        ]  # fmt: skip
        steps = sorted(set.intersection(*map(set, rows)))
        if len(steps) < 2:
            raise UserError(f"the runs of {arm} in {self.comparison.path} logged no {metric} at two steps or more.")
        return np.array(steps, float), np.array([[row[step] for step in steps] for row in rows], float)


def mean_interval(values_S: Array, confidence: float) -> tuple[float, float, float]:
    """Mean over seeds with its t interval: mean, low, high."""
    paired = paired_mean(values_S)
    low, high = t_interval(paired, confidence)
    return paired.mean, low, high


def read_evidence(path: Path) -> Evidence:
    return Evidence(read_plan(path))
