"""`rltk doctor`: what this machine can do, and what is missing for more."""

import json
from argparse import Namespace
from typing import Any

from rltk.doctor.machine import Machine, examine
from rltk.doctor.packages import Extra, Package, extras, packages
from rltk.evaluation.tables import say

UNFIT = 1
"""Exit status where rltk cannot work as it should."""


def doctor(args: Namespace) -> int:
    machine, found, optional = examine(), packages(), extras()
    tried: dict[str, Any] | None = None
    if args.torch:
        from rltk.doctor.compute import try_torch

        tried = try_torch()
    if args.json:
        print(json.dumps(as_json(machine, found, optional, tried)))
    else:
        say("\n".join(for_people(machine, found, optional, tried)))
    return 0 if all(package.is_fit for package in found) else UNFIT


def as_json(
    machine: Machine, found: list[Package], optional: list[Extra], tried: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "machine": machine._asdict(),
        "packages": [package._asdict() for package in found],
        "extras": [extra._asdict() for extra in optional],
        "torch": tried,
        "ok": all(package.is_fit for package in found),
    }


def for_people(
    machine: Machine, found: list[Package], optional: list[Extra], tried: dict[str, Any] | None
) -> list[str]:
    unfit = [package for package in found if not package.is_fit]
    return [
        f"system    {machine.system}, Python {machine.python}",
        f"cores     {machine.cores}",
        f"memory    {gib(machine.memory_bytes)}, {gib(machine.free_memory_bytes)} of it free",
        f"disk      {gib(machine.free_disk_bytes)} free here",
        f"gpu       {'; '.join(machine.gpus) or 'none that nvidia-smi knows'}",
        f"profile   {profile_words(machine)}",
        f"packages  {', '.join(f'{package.name} {package.version}' for package in found if package.is_fit)}",
        *(f"  wrong   {unfit_words(package)}" for package in unfit),
        *(f"extra     {extra_words(extra)}" for extra in optional),
        *(["torch     not tried; rltk doctor --torch does"] if tried is None else [f"torch     {torch_words(tried)}"]),
        "ok" if not unfit else "not ok: pip install -U rltk puts the packages right",
    ]


def gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


def profile_words(machine: Machine) -> str:
    if machine.accelerator_is_visible:
        return "recipes run as written: an accelerator is visible"
    return "recipes take their profile laptop: no accelerator is visible"


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
