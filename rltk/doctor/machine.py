"""Cores, memory, disk and accelerators, as the system reports them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from rltk.recipe.accelerator import is_accelerator_visible
from rltk.recipe.arithmetic import dtype_here

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits")
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
PATIENCE = 10
"""Seconds for nvidia-smi, which may hang where a driver is broken."""


class Gpu(NamedTuple):
    name: str
    memory_bytes: int
    free_bytes: int
    """Now; what other processes hold is not."""
    driver: str


class Machine(NamedTuple):
    system: str
    python: str
    cores: int
    """That this process may use."""
    memory_bytes: int | None
    """What there is, or what a container is allowed, whichever is less."""
    free_memory_bytes: int | None
    free_disk_bytes: int
    """Where the current folder is, under which runs are kept."""
    accelerator_is_visible: bool
    """Where not, recipes take their profile `laptop`."""
    usual_dtype: str
    """What recipes compute in that name no type."""
    gpus: list[Gpu]


def examine() -> Machine:
    memory, limit = memory_info(), container_limit()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        memory_bytes=least(memory.get("MemTotal"), limit),
        free_memory_bytes=least(memory.get("MemAvailable"), limit),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        accelerator_is_visible=is_accelerator_visible(),
        usual_dtype=dtype_here(),
        gpus=gpus(),
    )


def memory_info(path: Path = Path("/proc/meminfo")) -> dict[str, int]:
    """Bytes by name; empty where the system has no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    rows = (line.replace(":", "").split() for line in lines)
    return {row[0]: 1024 * int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def container_limit() -> int | None:
    for path in map(Path, LIMITS):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            return int(text)
    return None


def least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def gpus() -> list[Gpu]:
    """None where nvidia-smi is absent or cannot say."""
    try:
        found = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return []
    return read_gpus(found.stdout)


def read_gpus(text: str) -> list[Gpu]:
    """`NVIDIA H100, 81559, 81000, 550.54` a card, in MiB; one whose memory is unknown (`[N/A]`) is left out."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines()]
    return [
        Gpu(row[0], 2**20 * int(row[1]), 2**20 * int(row[2]), row[3])
        for row in rows
        if len(row) == 4 and row[1].isdecimal() and row[2].isdecimal()
    ]
