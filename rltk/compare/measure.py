"""Runs the experiment of a finding, and says when, where and with what."""

import time
from typing import Any

import torch

from rltk.compare.catalogue import Finding, Function, Profile
from rltk.compare.experiments import EXPERIMENTS
from rltk.recipe.fields import Section
from rltk.run.manifest import now
from rltk.run.provenance import commit, hardware, versions


def settings_of(function: Function, profile: Profile) -> Section:
    """The experiment's settings for this profile; they are good, since a test has read them all."""
    given = function.laptop if profile == "laptop" else function.gpu
    return EXPERIMENTS[function.name].settings.model_validate(given)


def measure(finding: Finding, profile: Profile) -> dict[str, Any]:
    """The result, as its file has it but for the id."""
    function = finding.experiment
    assert isinstance(function, Function)
    settings, started = settings_of(function, profile), time.monotonic()
    outcome = EXPERIMENTS[function.name].measure(settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return outcome._asdict() | {
        "profile": profile,
        "settings": settings.model_dump(mode="json"),
        "command": f"rltk findings {finding.id}",
        "seconds": round(time.monotonic() - started, 1),
        "date": now(),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(device),
    }
