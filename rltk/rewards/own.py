"""A reward of the user's own: the function in a Python file that the recipe names, loaded and looked at.

Which of two forms it has, its parameters tell; either may be `async`:

    def brevity(problem: Problem, completion: str) -> float | None                                 once a completion
    def brevity(problems: Sequence[Problem], completions: Sequence[str]) -> list[float | None]     once a step

None says that a completion could not be judged. Nothing here imports torch, so `rltk check` can look too.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from rltk.errors import UserError, suggestion
from rltk.recipe.locate import expanded, near_file
from rltk.recipe.schema import PythonReward
from rltk.rewards.blame import Blaming

ONE, ALL = ("problem", "completion"), ("problems", "completions")
"""Parameters of a function of one completion, and of one of all of a step."""


@dataclass(frozen=True)
class Own:
    """A function that is fit to be called."""

    name: str
    """Of the reward."""
    path: str
    """As the recipe has it."""
    function: Callable[..., Any]
    parameters: tuple[str, str]
    is_async: bool
    in_flight: int

    @property
    def called(self) -> str:
        """What a message calls it."""
        return f"rewards.{self.name}: {self.path}, {self.function.__name__}"

    def __str__(self) -> str:
        form = f"{self.function.__name__}({', '.join(self.parameters)}) of {self.path}"
        if self.parameters == ALL:
            return f"{form}, all completions of a step at once"
        return f"{form}, {f'{self.in_flight} completions' if self.is_async else 'one completion'} at a time"


def load_own(name: str, reward: PythonReward) -> Own:
    """Runs the file, as importing it would; a file that several rewards name runs once."""
    function = find_function(name, reward)
    parameters, is_async = form_of(name, reward, function), is_coroutine(function)
    in_flight = reward.in_flight
    if in_flight != PythonReward.model_fields["in_flight"].default and not (is_async and parameters == ONE):
        raise UserError(
            f"rewards.{name}.in_flight = {in_flight} is for an async function of one problem and completion, and "
            f"{function.__name__} in {reward.path} is none; leave it out."
        )
    return Own(name, reward.path, function, parameters, is_async, in_flight)


def file_hash(path: str) -> str:
    return hashlib.blake2b(expanded(path).read_bytes(), digest_size=8).hexdigest()


def find_function(name: str, reward: PythonReward) -> Callable[..., Any]:
    module, wanted = load_module(name, reward.path), reward.function or name
    found = vars(module).get(wanted)
    if found is None:
        there = [key for key, value in vars(module).items() if is_defined_in(module, value)]
        ending = suggestion(wanted, there, otherwise="it has") if there else "it has no function."
        key = f"rewards.{name}.function"
        given = f"{key} = {wanted}" if reward.function else f"{key} is not given and so {wanted}"
        raise UserError(f"{given}, which {reward.path} does not define; {ending}")
    if not callable(found) or inspect.isclass(found):
        raise UserError(f"rewards.{name}: {wanted} in {reward.path} is no function.")
    return found


def is_defined_in(module: ModuleType, value: object) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")


def load_module(name: str, path: str) -> ModuleType:
    place = expanded(path)
    if not place.is_file():
        raise UserError(f"rewards.{name}.path = {path} does not exist{near_file(place)}")
    try:
        digest = file_hash(path)
    except OSError as error:
        raise UserError(f"rewards.{name}.path = {path} cannot be read: {error.strerror}.") from error
    with Blaming(f"rewards.{name}", path):
        return run_module(place.resolve(), digest)


@cache
def run_module(place: Path, digest: str) -> ModuleType:
    """The module under a name of its own, where dataclasses and pickles find it; its neighbours can be imported."""
    name = f"rltk_own_{place.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None and spec.loader is not None  # there is a loader for all that ends in .py
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))  # last, so that nothing of the user's stands before an installed package
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def form_of(name: str, reward: PythonReward, function: Callable[..., Any]) -> tuple[str, str]:
    """Which parameters it has to be given, by name."""
    parameters = inspect.signature(function).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = {one.name for one in parameters if one.default is one.empty and one.kind not in variadic}
    for form in (ONE, ALL):
        if needed == set(form) and not any(one.kind is one.POSITIONAL_ONLY for one in parameters):
            return form
    has = ", ".join(one.name for one in parameters) or "none"
    raise UserError(
        f"rewards.{name}: {function.__name__} in {reward.path} has the parameters ({has}); it must have (problem, "
        "completion), to be called for each, or (problems, completions), to be called for all of a step."
    )


def is_coroutine(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
