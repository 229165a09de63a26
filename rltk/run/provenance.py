"""What a run was made with: versions, commit, machine. Goes into the manifest."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import rltk
from rltk.distributed import world

PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets")


def versions() -> dict[str, str]:
    return {"rltk": rltk.__version__, "python": platform.python_version()} | {
        package: metadata.version(package) for package in PACKAGES
    }


def commit() -> str | None:
    """The commit of the checkout rltk runs from, with `+` behind it when files differ; None when installed."""
    root = Path(rltk.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = git(root, "rev-parse", "--short=12", "HEAD")
        return f"{head}+" if git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return None


def git(root: Path, *args: str) -> str:
    return subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, check=True).stdout.strip()


def hardware(device: torch.device) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **({"processes": world.size()} if world.size() > 1 else {}),
    }


def peak_memory(device: torch.device) -> int | None:
    """The most bytes this process has held, of the accelerator's memory where it uses one; None where no one counts."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    # Not ru_maxrss, which begins at the parent's.
    sizes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return sizes[0] * 1024 if sizes else None


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
