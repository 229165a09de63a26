"""A comparison: its folder, its runs, and what it was begun with, which does not change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from rltk.compare.arms import arm_recipes, overlaid
from rltk.compare.centre import full_centre, learning_rate
from rltk.errors import UserError
from rltk.recipe.resolved import PLACES, hash_without, recipe_from_resolved, recipe_hash, resolved, without
from rltk.recipe.schema import HELDOUT_LIKE, LOSS, SFT, OnPolicy, Recipe, RewardModel
from rltk.recipe.sections.compare import SAMPLED
from rltk.run.atomic import write_json

Phase = Literal["tuning", "confirmation", "grid"]
PLAN = "plan.json"
RECIPES = "recipes"
CONTROL = "control"
NOT_ITS_OWN = ("confirmation_seeds", "keep_models", "scaling")
"""Keys of `compare` that a comparison may change after it began, or that are no business of its."""
APART = (*PLACES, *(f"compare.{key}." for key in NOT_ITS_OWN))
CONFIRMATION_OFFSET = 100
"""Confirmation seeds begin so far above the recipe's, where tuning seeds, at most so many, end."""


@dataclass(frozen=True)
class Planned:
    """A run of a comparison or of a grid; `arm` is `control` for the negative control."""

    phase: Phase
    arm: str
    lr: float
    seed: int
    recipe: Recipe

    @cached_property
    def hash(self) -> str:
        return recipe_hash(self.recipe)

    @property
    def id(self) -> str:
        return f"{self.arm}-lr{self.lr:g}-seed{self.seed}-{self.hash}"

    def __str__(self) -> str:
        """What a message calls it."""
        return f"{self.phase} run of arm {self.arm}, learning rate {self.lr:g}, seed {self.seed}"


class Project(Protocol):
    """Runs that belong together, as what makes them sees it."""

    @property
    def path(self) -> Path: ...

    @property
    def recipe(self) -> Recipe: ...


def folder_of(project: Project, run: Planned) -> Path:
    return project.path / run.phase / run.id


def write_recipe(project: Project, run: Planned) -> Path:
    """The run's own recipe, which `rltk train` takes."""
    path = project.path / RECIPES / f"{run.id}.json"
    values = {key: value for key, value in resolved(run.recipe).items() if key != "compare"}
    if not path.exists():
        write_json(path, values)
    return path


@dataclass(frozen=True)
class Comparison:
    path: Path
    recipe: Recipe
    """With its `compare` section, as the comparison was begun."""

    @cached_property
    def arms(self) -> dict[str, Recipe]:
        return arm_recipes(self.recipe)

    @cached_property
    def centre(self) -> float:
        return full_centre(self.recipe.model_copy(update={"model": self.arms[self.reference].model}))

    @property
    def reference(self) -> str:
        return self.recipe.compare.reference

    @property
    def others(self) -> list[str]:
        """The arms that are held against the reference."""
        return [name for name in self.arms if name != self.reference]

    @property
    def control(self) -> str:
        """The arm that the negative control is of."""
        return self.recipe.compare.control.arm or self.others[0]

    @cached_property
    def hash(self) -> str:
        """Of what is not at its default, as a recipe's is."""
        return hash_without(self.recipe, APART)

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return -1 if self.recipe.compare.metric == "loss" else 1

    def tuning_seeds(self) -> list[int]:
        return [self.recipe.seed + k for k in range(self.recipe.compare.tuning_seeds)]

    def confirmation_seeds(self, count: int) -> list[int]:
        return [self.recipe.seed + CONFIRMATION_OFFSET + k for k in range(count)]

    def rate(self, arm: str, place: float) -> float:
        """The learning rate `place` half-decades from the arm's centre."""
        return learning_rate(self.centre, self.arms[arm].tune.type, place)

    def folder(self, run: Planned) -> Path:
        return folder_of(self, run)

    def tuning_run(self, arm: str, place: float, seed: int, steps: int) -> Planned:
        """The start is evaluated in one run a seed, the reference's at its centre: it is the same in all."""
        options = {
            "split": "validation",
            "tasks": self.tasks(arm)[:1],
            "before": arm == self.reference and place == 0 and steps == self.steps(arm, 0),
        }
        return self.make(("tuning", arm, self.rate(arm, place), seed), arm, options, {"steps": steps})

    def confirmation_run(self, arm: str, lr: float, seed: int) -> Planned:
        of = self.control if arm == CONTROL else arm
        options = {"split": "test", "tasks": self.tasks(of), "before": arm == self.reference}
        return self.make(("confirmation", arm, lr, seed), of, options, {})

    def tasks(self, arm: str) -> tuple[str, ...]:
        return (LOSS,) if self.recipe.compare.metric == "loss" else self.arms[arm].eval.tasks

    def steps(self, arm: str, halving: int) -> int:
        """Steps of the runs that are left after `halving` halvings."""
        return max(1, self.arms[arm].optim.steps >> (self.recipe.compare.rates.halvings - halving))

    def make(
        self, what: tuple[Phase, str, float, int], of: str, options: dict[str, Any], optim: dict[str, Any]
    ) -> Planned:
        phase, arm, lr, seed = what
        if self.recipe.compare.metric in ("greedy", "loss"):  # samples would be paid for and not used
            options = options | {"samples": 0, "k": ()}
        overlay = {"seed": seed, "optim": {"lr": lr, **optim}, "eval": options}
        return Planned(phase, arm, lr, seed, overlaid(self.arms[of], overlay, f"{phase} run of arm {arm}"))


def default_folder(recipe: Recipe) -> Path:
    return Path(recipe.run.dir) / "compare" / recipe.name


def check_comparable(comparison: Comparison) -> None:
    """Refuses, before anything runs, a recipe whose arms could not be evaluated."""
    first, metric = comparison.arms[comparison.reference], comparison.recipe.compare.metric
    refuse_unmeasured(first, metric)
    if CONTROL in comparison.arms:
        raise UserError(f"compare.arms: {CONTROL} is what the negative control is called; name the arm otherwise.")
    task = comparison.tasks(comparison.reference)[0]
    if metric in ("greedy", *SAMPLED) and task not in HELDOUT_LIKE:
        raise UserError(
            f"eval.tasks begins with {task}, which has no validation split to choose learning rates on; "
            f"let it begin with one of {', '.join(HELDOUT_LIKE)}."
        )
    if task in ("heldout", LOSS) and not first.data.is_embedded and not first.data.validation:
        raise UserError(
            "data.validation is 0, and learning rates are chosen on what it holds out; "
            "set it, such as compare.base={data: {validation: 500}}."
        )
    if metric in SAMPLED and not first.eval.samples:
        raise UserError(f"compare.metric is {metric} and eval.samples is 0; set it to at least 1.")


def refuse_unmeasured(recipe: Recipe, metric: str) -> None:
    """Refuses a metric that runs of this recipe do not have."""
    is_judged = isinstance(recipe.algo, OnPolicy) and recipe.data.kind == "preferences"
    has_pairs = not is_judged and (recipe.data.kind == "preferences" or isinstance(recipe.algo, RewardModel))
    what = f"algo.type {recipe.algo.type} on data.kind {recipe.data.kind}"
    if is_judged != (metric == "reward"):
        fit = "reward" if is_judged else "greedy" if not has_pairs else "pairs"
        raise UserError(f"compare.metric is {metric}, and {what} is scored otherwise; set it to {fit}.")
    if metric == "loss" and (not isinstance(recipe.algo, SFT) or has_pairs):
        raise UserError(f"compare.metric is loss, which is of held-out solutions in SFT, and this is {what}.")
    if metric != "loss" and recipe.data.kind == "messages":
        raise UserError(f"compare.metric is {metric}, and {what} has no answers to check; set it to loss.")
    if metric != "loss" and has_pairs != (metric == "pairs"):
        fit = "pairs" if has_pairs else "greedy, sampled or, for SFT, loss"
        raise UserError(f"compare.metric is {metric}, and {what} is scored otherwise; set it to {fit}.")


def begin(comparison: Comparison) -> None:
    """Writes what the comparison is begun with; refused where it was begun with something else."""
    file = comparison.path / PLAN
    if not file.exists():
        write_json(file, {"recipe": resolved(comparison.recipe), "hash": comparison.hash})
        return
    refuse_change(read_plan(comparison.path), comparison)


def read_plan(path: Path) -> Comparison:
    """The comparison in a folder, as it was begun."""
    file = path / PLAN
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} is not a comparison: it has no {PLAN}.") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); start the comparison anew.") from error
    if not isinstance(plan, dict) or not isinstance(plan.get("recipe"), dict):
        raise UserError(f"{file} is damaged (it holds no recipe); start the comparison anew.")
    comparison = Comparison(path, recipe_from_resolved(plan["recipe"], str(file)))
    if comparison.hash != plan.get("hash"):
        raise UserError(
            f"{file} is not as the comparison began, by an edit or another version of rltk; put it back, or start anew."
        )
    return comparison


def refuse_change(begun: Comparison, comparison: Comparison) -> None:
    """A comparison keeps what it was begun with; more confirmation seeds are another matter, see margin.py."""
    if begun.hash == comparison.hash:
        return
    key, was, is_now = first_difference(kept(begun.recipe), kept(comparison.recipe))
    fixed = begun.path / "margin.json"
    when = f" and fixed its margin on {json.loads(fixed.read_text())['fixed']}" if fixed.exists() else ""
    raise UserError(
        f"{begun.path} was begun with {key} = {was}{when}, and the recipe now says {is_now}; "
        "go on with what it was, or name another folder with --out."
    )


def kept(recipe: Recipe) -> dict[str, Any]:
    """What a comparison is begun with: all that changes what its runs are, or what they show."""
    return without(resolved(recipe), APART)


def first_difference(a: Any, b: Any, path: str = "") -> tuple[str, str, str]:
    """The first key, in order, at which two JSON values differ, and what stands there in each."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            if a.get(key) != b.get(key):
                return first_difference(a.get(key), b.get(key), f"{path}.{key}".lstrip("."))
    return path, json.dumps(a), json.dumps(b)
