"""Whether this machine has an accelerator, found out without importing torch, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

DEVICES = ("nvidia[0-9]*", "kfd")  # CUDA; ROCm


def is_accelerator_visible(dev: Path = Path("/dev"), environ: Mapping[str, str] = os.environ) -> bool:
    """True where a driver shows a device and the environment does not hide it, as torch would see it."""
    if environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return False
    return any(True for pattern in DEVICES for _ in dev.glob(pattern))
