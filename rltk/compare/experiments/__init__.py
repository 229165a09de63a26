"""Experiments that measure a finding by themselves, by name; each has a file with its settings and its measurement."""

from collections.abc import Callable
from typing import Any, NamedTuple

from rltk.compare.experiments import (
    early_curves,
    facts,
    finished_runs,
    flops,
    invariance,
    memory,
    movement,
    parameter_counts,
    step_time,
    step_zero,
    tangent_kernels,
)
from rltk.compare.outcome import Outcome
from rltk.recipe.fields import Section


class Experiment(NamedTuple):
    settings: type[Section]
    measure: Callable[[Any], Outcome]
    """Takes an instance of `settings`."""


EXPERIMENTS = {
    "early_curves": Experiment(early_curves.Settings, early_curves.measure),
    "facts": Experiment(facts.Settings, facts.measure),
    "factor_norms": Experiment(finished_runs.Settings, finished_runs.factor_norms),
    "flops": Experiment(flops.Settings, flops.measure),
    "intruder_dimensions": Experiment(finished_runs.Settings, finished_runs.intruder_dimensions),
    "invariance": Experiment(invariance.Settings, invariance.measure),
    "memory": Experiment(memory.Settings, memory.measure),
    "movement": Experiment(movement.Settings, movement.measure),
    "outcome_bits": Experiment(finished_runs.Settings, finished_runs.outcome_bits),
    "parameter_counts": Experiment(parameter_counts.Settings, parameter_counts.measure),
    "step_time": Experiment(step_time.Settings, step_time.measure),
    "step_zero": Experiment(step_zero.Settings, step_zero.measure),
    "tangent_kernels": Experiment(tangent_kernels.Settings, tangent_kernels.measure),
    "unchanged_weights": Experiment(finished_runs.Settings, finished_runs.unchanged_weights),
}
