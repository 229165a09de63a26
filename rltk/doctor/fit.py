"""Which of the recipes that come with rltk fit this machine's memory, as they would run here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rltk.doctor.machine import Machine
from rltk.plan.config import shape_at_hand
from rltk.plan.devices import USABLE
from rltk.plan.layout import Asked, layout_of
from rltk.plan.memory import plan_memory
from rltk.plan.rewards import reward_roles
from rltk.plan.workload import ASSUMED_PROMPT, Assumed, workload_of
from rltk.recipe import load_recipe
from rltk.recipe.load import AUTO
from rltk.recipe.locate import shipped_recipes

LIBRARIES = 2**30
"""Bytes that Python and its libraries take of the host's memory before there is a model, about."""


class Fit(NamedTuple):
    recipe: str
    profile: str | None
    """That it takes here; None: as written."""
    needed_bytes: int | None
    """At the peak of a step, as `rltk plan` says; None where its model's config is not on this machine."""
    fits: bool | None
    """None where either side is unknown."""


def recipes_that_fit(machine: Machine) -> list[Fit]:
    free = free_bytes(machine)
    return [fit_of(name, path, machine, free) for name, path in shipped_recipes().items()]


def free_bytes(machine: Machine) -> int | None:
    """Of the GPU that has most, as much as a step may fill; where none is used, of the host's beside the libraries."""
    if machine.accelerator_is_visible:
        return round(USABLE * max(gpu.free_bytes for gpu in machine.gpus)) if machine.gpus else None
    return None if machine.free_memory_bytes is None else machine.free_memory_bytes - LIBRARIES


def fit_of(name: str, path: Path, machine: Machine, free: int | None) -> Fit:
    loaded = load_recipe(str(path), [], AUTO)
    recipe, shape = loaded.recipe, shape_at_hand(loaded.recipe.model)
    if shape is None:
        return Fit(name, loaded.profile, None, None)
    work = replace(workload_of(recipe, Assumed(ASSUMED_PROMPT, None)), rewards=reward_roles(recipe, shape)[0])
    layout = layout_of(recipe.hardware, Asked(), "cuda" if machine.accelerator_is_visible else "cpu")
    needed = round(plan_memory(shape, recipe.tune, work, layout).peak.total)
    return Fit(name, loaded.profile, needed, None if free is None else needed <= free)
