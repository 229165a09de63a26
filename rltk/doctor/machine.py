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

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
PATIENCE = 10
"""Seconds for nvidia-smi, which may hang where a driver is broken."""


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
    gpus: list[str]


def examine() -> Machine:
    memory = memory_info()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        memory_bytes=least(memory.get("MemTotal"), container_limit()),
        free_memory_bytes=memory.get("MemAvailable"),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        accelerator_is_visible=is_accelerator_visible(),
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


def gpus() -> list[str]:
    """`NVIDIA H100, 81559 MiB, 550.54` a card; none where nvidia-smi is absent or cannot say."""
    try:
        found = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in found.stdout.splitlines() if line.strip()]
