"""The grid of `rltk scaling run`: arms x data sizes x models, as runs that are found again by their recipes.

A grid may grow: runs are known by what their recipe says, so those that a larger grid shares with a smaller are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rltk.compare.arms import arm_recipes, overlaid
from rltk.compare.centre import full_centre, learning_rate
from rltk.compare.outcomes import Outcome, read_outcome
from rltk.compare.plan import Planned
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.recipe.resolved import recipe_from_resolved, resolved
from rltk.recipe.rules import unused_keys
from rltk.recipe.schema import LOSS, SFT, Model, OnPolicy, Recipe
from rltk.run.atomic import write_json

PLAN, RESULTS = "grid.json", "results.jsonl"


class Point(NamedTuple):
    """One arm at one data size on one model: runs at each learning rate, one a seed."""

    arm: str
    model: str
    data: int
    runs: dict[float, list[Planned]]


@dataclass(frozen=True)
class Grid:
    path: Path
    recipe: Recipe
    """With its `compare` section, whose arms and scaling say what the grid is."""

    @property
    def models(self) -> tuple[str, ...]:
        return self.recipe.compare.scaling.models or (self.recipe.model.path,)

    @cached_property
    def points(self) -> list[Point]:
        """The least data first, so that what a budget leaves out is the dearest."""
        on = {model: self.recipe_on(model) for model in self.models}
        arms = {model: arm_recipes(recipe) for model, recipe in on.items()}
        return [
            Point(arm, model, data, self.runs_at(arm, arms[model][arm], full_centre(on[model]), data))
            for data in sorted(self.recipe.compare.scaling.data)
            for model in self.models
            for arm in arms[model]
        ]

    @cached_property
    def sizes(self) -> dict[str, float]:
        """Parameters of each model; nothing where there is but one, which is then no variable of the law."""
        if len(self.models) == 1:
            return {}
        return {model: float(find_shape(Model(path=model)).parameters) for model in self.models}

    def recipe_on(self, model: str) -> Recipe:
        changed = overlaid(self.recipe, {"model": {"path": model}}, f"compare.scaling.models, {model}")
        return changed.model_copy(update={"compare": self.recipe.compare})

    def runs_at(self, arm: str, recipe: Recipe, centre: float, data: int) -> dict[float, list[Planned]]:
        scaling = self.recipe.compare.scaling
        places = range(-(scaling.rates // 2), scaling.rates - scaling.rates // 2)
        rates = [learning_rate(centre, recipe.tune.type, place) for place in places]
        return {rate: [self.run(arm, recipe, rate, data, seed) for seed in range(scaling.seeds)] for rate in rates}

    def run(self, arm: str, recipe: Recipe, rate: float, data: int, seed: int) -> Planned:
        overlay: dict[str, Any] = {
            "seed": recipe.seed + seed,
            "optim": {"lr": rate, "steps": steps(recipe, data)},
            "eval": {"before": False, **self.sparing(recipe)},
        }
        changed = overlaid(recipe, overlay, f"run of arm {arm} on {data} examples")
        return Planned("grid", arm, rate, recipe.seed + seed, changed)

    def sparing(self, recipe: Recipe) -> dict[str, Any]:
        """Of `eval`: the first task alone, of one greedy completion; nothing of that where pairs are what is scored."""
        unused = {key for key, _ in unused_keys(recipe.algo, is_preferences=recipe.data.kind == "preferences")}
        wanted = {"tasks": recipe.eval.tasks[:1], "samples": 0, "k": ()}
        return {key: value for key, value in wanted.items() if f"eval.{key}" not in unused}


class Found(NamedTuple):
    """What there is of a grid."""

    runs: list[Planned]
    outcomes: dict[str, Outcome]

    @property
    def phases(self) -> dict[str, list[Planned]]:
        return {"runs": self.runs}

    @property
    def pending(self) -> list[Planned]:
        return [run for run in self.runs if not self.outcomes[run.id].is_over]


def survey(grid: Grid) -> Found:
    runs = list(all_runs(grid))
    return Found(runs, {run.id: read_outcome(grid, run) for run in runs})


def all_runs(grid: Grid) -> Iterator[Planned]:
    return (run for point in grid.points for runs in point.runs.values() for run in runs)


def steps(recipe: Recipe, data: int) -> int:
    each = recipe.algo.prompts if isinstance(recipe.algo, OnPolicy) else recipe.algo.batch
    key = "algo.prompts" if isinstance(recipe.algo, OnPolicy) else "algo.batch"
    if data % each:
        raise UserError(f"compare.scaling.data has {data}, which {key} ({each}) does not divide; take a multiple.")
    if recipe.data.is_embedded and recipe.data.size is not None and data > recipe.data.size:
        raise UserError(f"compare.scaling.data has {data}, and data.size is {recipe.data.size}; raise that.")
    return data // each


def check_grid(grid: Grid) -> None:
    """Refuses, before anything runs, a grid that would leave nothing to fit."""
    recipe = grid.recipe
    of_policy = f"the loss of {recipe.algo.type} says nothing about how good a policy is"
    if isinstance(recipe.algo, OnPolicy) and recipe.data.kind == "preferences":
        raise UserError(
            f"compare.scaling has nothing to fit to: {recipe.algo.type} on preferences is scored by its mean reward, "
            f"and {of_policy}; take data with answers."
        )
    if recipe.compare.scaling.loss == "training" and isinstance(recipe.algo, OnPolicy):
        raise UserError(f"compare.scaling.loss is training, and {of_policy}; take error.")
    is_scored_by_loss = isinstance(recipe.algo, SFT) and recipe.eval.tasks[:1] == (LOSS,)
    if recipe.compare.scaling.loss == "error" and is_scored_by_loss and recipe.data.kind != "preferences":
        raise UserError(
            f"compare.scaling.loss is error, the share of answers that is wrong, and eval.tasks begins with {LOSS}, "
            "which has no answers; let it begin with another task, or take training."
        )
    _ = grid.points


def default_folder(recipe: Recipe) -> Path:
    return Path(recipe.run.dir) / "scaling" / recipe.name


def begin(grid: Grid) -> None:
    write_json(grid.path / PLAN, {"recipe": resolved(grid.recipe)})


def read_grid(path: Path) -> Grid:
    """The grid in a folder, as it was last asked for."""
    file = path / PLAN
    try:
        recipe = json.loads(file.read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}); run the recipe again with --out {path}.") from error
    return Grid(path, recipe_from_resolved(recipe, str(file)))
