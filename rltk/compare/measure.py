"""Runs the experiment of a finding, and says when, where and with what."""

import time
from collections.abc import Sequence
from shlex import quote
from typing import Any

import torch

from rltk.compare.catalogue import Finding, Function, Profile
from rltk.compare.experiments import EXPERIMENTS
from rltk.compare.experiments.finished_runs import Settings as FinishedRuns
from rltk.errors import UserError
from rltk.recipe.fields import Section
from rltk.run.manifest import now
from rltk.run.provenance import commit, hardware, versions


def settings_of(function: Function, profile: Profile) -> Section:
    """The experiment's settings for this profile; they are good, since a test has read them all."""
    given = function.laptop if profile == "laptop" else function.gpu
    return EXPERIMENTS[function.name].settings.model_validate(given)


def measure(finding: Finding, profile: Profile, sources: Sequence[str] = ()) -> dict[str, Any]:
    """The result, as its file has it but for the id; `sources` are folders of runs, for what is read from some."""
    function = finding.experiment
    assert isinstance(function, Function)
    settings, started = pointed(settings_of(function, profile), finding, sources), time.monotonic()
    outcome = EXPERIMENTS[function.name].measure(settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return outcome._asdict() | {
        "profile": profile,
        "settings": settings.model_dump(mode="json"),
        "command": f"rltk findings {finding.id}{' --from ' if sources else ''}{' '.join(map(quote, sources))}",
        "seconds": round(time.monotonic() - started, 1),
        "date": now(),
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(device),
    }


def pointed(settings: Section, finding: Finding, sources: Sequence[str]) -> Section:
    """The settings with the folder that was named in place of runs/."""
    if not sources:
        return settings
    if not isinstance(settings, FinishedRuns) or len(sources) > 1:
        raise UserError(f"--from {sources[-1]}: {finding.id} is read from {read_from(settings)}.")
    return settings.model_copy(update={"runs": sources[0]})


def read_from(settings: Section) -> str:
    return "one folder of runs" if isinstance(settings, FinishedRuns) else "no runs, but measured by itself"
