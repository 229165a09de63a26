"""In which type this machine computes fast, found out without importing torch, which takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rltk.recipe.accelerator import is_accelerator_visible

FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of processors that multiply bfloat16 numbers: two of x86, one of ARM."""


def dtype_here() -> Literal["bfloat16", "float32"]:
    """What a model computes in that nobody has chosen a type for."""
    return "bfloat16" if is_accelerator_visible() or has_bfloat16() else "float32"


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """False where the system lists what the processor can, and bfloat16 is not among it: torch then computes in
    float32, one number after the other, and takes several times as long as with float32 alone."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True
    known = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}
    return not known or not known.isdisjoint(FLAGS)
