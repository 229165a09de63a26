"""What is served, from what a person names: one base, and adapters of it under names of their own. No torch."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.errors import UserError
from rltk.evaluation.target import Target, find_target
from rltk.export.source import base_location
from rltk.recipe.locate import expanded
from rltk.recipe.schema import Data, Model, Rollout


class Served(NamedTuple):
    base: Model
    base_name: str
    adapters: dict[str, Path]
    """By the names under which they are asked for."""
    rollout: Rollout
    """Of the first run: how long its completions were."""
    data: Data | None = None
    """Of the first run: how it asked; None where there is no recipe that says so."""


def choose(runs: Sequence[str], dtype: str | None = None) -> Served:
    """`runs` are runs, adapter or model folders, or hub ids, each perhaps with a name before it: NAME=RUN.

    `dtype` is that of the arithmetic; None is that of the first run's recipe.
    """
    named = [split_name(run) for run in runs]
    targets = {run: find_target(run) for _, run in named}
    first = targets[named[0][1]]
    adapters: dict[str, Path] = {}
    name_of_base = public_name(first.model.path)
    for name, run in named:
        target = targets[run]
        refuse_other_base(run, target, named[0][1], first)
        if target.adapter is None:
            name_of_base = name or public_name(run)
            continue
        called = name or public_name(run)
        if called in adapters:
            raise UserError(f"two adapters would be called {called}; give one another name: NAME={run}")
        adapters[called] = target.adapter
    if name_of_base in adapters:
        raise UserError(f"an adapter would be called {name_of_base}, like its base; give it another name: NAME=RUN")
    base = first.model if dtype is None else first.model.model_copy(update={"dtype": dtype})
    return Served(base, name_of_base, adapters, first.rollout, first.data)


def split_name(text: str) -> tuple[str | None, str]:
    """The name before `=`, unless the whole is a folder."""
    name, equals, run = text.partition("=")
    if not equals or os.path.exists(expanded(text)):
        return None, text
    if not name or not run:
        raise UserError(f"{text} names nothing; write NAME=RUN, or RUN alone.")
    return name, run


def public_name(path: str) -> str:
    """A hub id or an embedded model as it is; of a folder the last part, since where it lies is nobody's business."""
    return Path(path).resolve().name if os.path.isdir(expanded(path)) else path


def refuse_other_base(run: str, target: Target, first_run: str, first: Target) -> None:
    if not is_same_base(target.model, first.model):
        its, theirs = base_words(target.model, first.model), base_words(first.model, target.model)
        raise UserError(
            f"{run} stands on {its} and {first_run} on {theirs}; one server has one base, so serve them by two."
        )


def is_same_base(one: Model, other: Model) -> bool:
    both = ((base_location(model.path), model.revision, model.quantize) for model in (one, other))
    return len(set(both)) == 1


def base_words(model: Model, other: Model) -> str:
    """The base, with what of it beside its path is not as in the other."""
    keys = [key for key in ("revision", "quantize") if getattr(model, key) != getattr(other, key)]
    differing = [f"model.{key} = {getattr(model, key) or 'null'}" for key in keys]
    return f"{model.path} ({', '.join(differing)})" if differing else model.path
