"""Which packages there are, in which versions, and what the optional ones are for."""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement

MAIN = ("torch", "transformers", "peft", "accelerate", "datasets", "safetensors", "pydantic")
"""Looked at where rltk itself is not installed, and so nothing says what it asks for."""
EXTRAS = {
    "deepspeed": ("deepspeed", "hardware.deepspeed.zero: 1, 2 or 3"),
    "tensorboard": ("tensorboard", "run.trackers: [tensorboard]"),
    "wandb": ("wandb", "run.trackers: [wandb]"),
    "trackio": ("trackio", "run.trackers: [trackio]"),
    "quantize": ("bitsandbytes", "model.quantize: nf4"),
    "docs": ("mkdocs-material", "the documentation as a site: mkdocs serve"),
    "vllm": ("vllm", "rollout.engine: vllm with full fine-tuning"),
    "ray": ("ray", "rltk compare --on, rltk scaling run --on"),
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
    """What rltk asks for, in the order in which it does."""
    wanted = declared()
    if wanted is None:
        return [Package(name, found, "", found is not None) for name in MAIN for found in [version(name)]]
    return [judged(requirement, version(requirement.name)) for requirement in wanted]


def extras() -> list[Extra]:
    return [Extra(name, version(package) is not None, purpose) for name, (package, purpose) in EXTRAS.items()]


def judged(wanted: Requirement, found: str | None) -> Package:
    is_fit = found is not None and wanted.specifier.contains(found, prereleases=True)
    return Package(wanted.name, found, str(wanted.specifier), is_fit)


def declared() -> list[Requirement] | None:
    """What rltk cannot do without; None where it is a bare checkout on the path."""
    try:
        made = map(Requirement, metadata.requires("rltk") or [])
    except metadata.PackageNotFoundError:
        return None
    return [one for one in made if one.marker is None or one.marker.evaluate({"extra": ""})]


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
