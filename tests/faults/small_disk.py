"""A file system of a few MiB that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A tmpfs, as only root may mount; skips elsewhere."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("A FULL DISK NEEDS ROOT: no tmpfs could be mounted; limits of file sizes are tested all the same")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
