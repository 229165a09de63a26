"""Which packages there are, in which versions, and what the optional ones are for."""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement

NEEDED = (
    "torch", "transformers", "peft", "accelerate", "datasets", "safetensors", "pydantic", "PyYAML", "rich", "jinja2",
    "math-verify", "numpy", "scipy", "trl",
)  # fmt: skip
EXTRAS = {
    "tensorboard": ("tensorboard", "run.trackers: [tensorboard]"),
    "wandb": ("wandb", "run.trackers: [wandb]"),
    "trackio": ("trackio", "run.trackers: [trackio]"),
}
"""By extra of `pip install 'rltk[EXTRA]'`: the package that it brings, and what that is for."""


class Package(NamedTuple):
    name: str
    version: str | None
    """None: not installed."""
    wanted: str
    """The range that rltk was tested with; empty where any will do, or where rltk itself is not installed."""
    is_fit: bool


class Extra(NamedTuple):
    name: str
    is_installed: bool
    purpose: str


def packages() -> list[Package]:
    wanted = declared()
    return [judged(name, version(name), wanted.get(name.lower())) for name in NEEDED]


def extras() -> list[Extra]:
    return [Extra(name, version(package) is not None, purpose) for name, (package, purpose) in EXTRAS.items()]


def judged(name: str, found: str | None, wanted: Requirement | None) -> Package:
    specifier = "" if wanted is None else str(wanted.specifier)
    is_fit = found is not None and (wanted is None or wanted.specifier.contains(found, prereleases=True))
    return Package(name, found, specifier, is_fit)


def declared() -> dict[str, Requirement]:
    """What rltk asks for, by name in lower case; of what only some extra asks for, too."""
    try:
        lines = metadata.requires("rltk") or []
    except metadata.PackageNotFoundError:  # a bare checkout on the path
        return {}
    return {made.name.lower(): made for made in map(Requirement, lines)}


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
