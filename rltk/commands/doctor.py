"""`rltk doctor`: what this machine can do, and what is missing for more."""

import json
from argparse import Namespace
from typing import Any, NamedTuple

from rltk.doctor.fit import Fit, recipes_that_fit
from rltk.doctor.machine import Gpu, Machine, examine
from rltk.doctor.network import Hub, ask_hub
from rltk.doctor.packages import Extra, Package, extras, packages
from rltk.evaluation.tables import say

UNFIT = 1
"""Exit status where rltk cannot work as it should."""


class Findings(NamedTuple):
    machine: Machine
    hub: Hub
    recipes: list[Fit]
    packages: list[Package]
    extras: list[Extra]
    torch: dict[str, Any] | None
    """None: not tried."""

    @property
    def unfit(self) -> list[Package]:
        return [package for package in self.packages if not package.is_fit]


def doctor(args: Namespace) -> int:
    machine = examine()
    tried: dict[str, Any] | None = None
    if args.torch:
        from rltk.doctor.compute import try_torch

        tried = try_torch()
    found = Findings(machine, ask_hub(), recipes_that_fit(machine), packages(), extras(), tried)
    if args.json:
        print(json.dumps(as_json(found)))
    else:
        say("\n".join(for_people(found)))
    return UNFIT if found.unfit else 0


def as_json(found: Findings) -> dict[str, Any]:
    return {
        "machine": found.machine._asdict() | {"gpus": [gpu._asdict() for gpu in found.machine.gpus]},
        "hub": found.hub._asdict(),
        "recipes": [fit._asdict() for fit in found.recipes],
        "packages": [package._asdict() for package in found.packages],
        "extras": [extra._asdict() for extra in found.extras],
        "torch": found.torch,
        "ok": not found.unfit,
    }


def for_people(found: Findings) -> list[str]:
    machine = found.machine
    return [
        f"system    {machine.system}, Python {machine.python}",
        f"cores     {machine.cores}",
        f"memory    {gib(machine.memory_bytes)}, {gib(machine.free_memory_bytes)} of it free",
        f"disk      {gib(machine.free_disk_bytes)} free here",
        f"gpu       {'; '.join(map(gpu_words, machine.gpus)) or 'none that nvidia-smi knows'}",
        f"profile   {profile_words(machine)}",
        f"recipes   {recipe_words(found.recipes)}",
        f"hub       {hub_words(found.hub)}",
        f"packages  {', '.join(f'{package.name} {package.version}' for package in found.packages if package.is_fit)}",
        *(f"  wrong   {unfit_words(package)}" for package in found.unfit),
        *(f"extra     {extra_words(extra)}" for extra in found.extras),
        f"torch     {'not tried; rltk doctor --torch does' if found.torch is None else torch_words(found.torch)}",
        "ok" if not found.unfit else "not ok: pip install -U rltk puts the packages right",
    ]


def gpu_words(gpu: Gpu) -> str:
    return f"{gpu.name}, {gib(gpu.memory_bytes)}, {gib(gpu.free_bytes)} of it free, driver {gpu.driver}"


def recipe_words(recipes: list[Fit]) -> str:
    """Of those that come with rltk, as they would run here."""
    known = [fit for fit in recipes if fit.fits is not None]
    if not known:
        return "whether they fit is unknown: rltk plan RECIPE says what each needs"
    fitting = [fit for fit in known if fit.fits]
    short = [f"{fit.recipe} needs {gib(fit.needed_bytes)}" for fit in known if not fit.fits]
    most = gib(max((fit.needed_bytes or 0 for fit in fitting), default=None))
    words = [f"{len(fitting)} of {len(recipes)} fit the free memory{f', with {most} at most' if fitting else ''}"]
    return "; ".join([*words, *short, *(["rltk plan RECIPE says what would help"] if short else [])])


def hub_words(hub: Hub) -> str:
    if hub.is_offline:
        return "not asked, HF_HUB_OFFLINE is set: models and data are those on this machine"
    if hub.answers:
        return f"{hub.address} answers"
    return f"{hub.address} does not answer: models and data are those on this machine"


def gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


def profile_words(machine: Machine) -> str:
    if machine.accelerator_is_visible:
        return "recipes run as written: an accelerator is visible"
    where = "" if machine.usual_dtype == "bfloat16" else "; the processor has no bfloat16, so they compute in float32"
    return f"recipes take their profile laptop: no accelerator is visible{where}"


def unfit_words(package: Package) -> str:
    has = "is not installed" if package.version is None else f"{package.version} was not tested"
    return f"{package.name} {has}{f', rltk takes {package.wanted}' if package.wanted else ''}"


def extra_words(extra: Extra) -> str:
    state = "there" if extra.is_installed else f"missing: pip install 'rltk[{extra.name}]'"
    return f"{extra.name}, for {extra.purpose}: {state}"


def torch_words(tried: dict[str, Any]) -> str:
    speeds = ", ".join(f"{speed:,} GFLOP/s in {name}" for name, speed in tried["gflops"].items())
    names = "; ".join(tried["gpus"]) or f"{tried['threads']} threads"
    return f"{tried['device']} ({names}), {speeds}"
