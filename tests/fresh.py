"""Python in a process of its own, which has nothing of this one's memory."""

import json
import subprocess
import sys
from typing import Any

from tests.forks import ROOT, SOURCES


def answer(code: str, *arguments: str) -> Any:
    """What `code` prints in its last line, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": SOURCES, "PATH": "", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
