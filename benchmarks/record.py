"""Measurements with what they were made on and with, as JSON."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from rltk.run.atomic import write_json
from rltk.run.provenance import commit, hardware, versions

RESULTS = Path(__file__).parent / "results"


def earlier(name: str, key: str = "runs") -> list[dict[str, Any]]:
    """What an earlier command has written into that results file; none where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))[key] if path.exists() else []


def status(key: str, process: int | str = "self") -> int:
    """Bytes that Linux says a process holds; ValueError where it has ended."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {process} has no {key}")


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def peak_memory() -> int:
    """Bytes: the allocator's peak on CUDA, the process's peak resident size on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def synchronized_time() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def matmul_ceiling(dtype: torch.dtype = torch.bfloat16, size: int = 2048, seconds: float = 2.0) -> float:
    """FLOP/s of large square products, the best of several: what the machine could do."""
    left, right = (torch.randn(size, size, device=device()).to(dtype) for _ in range(2))
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = synchronized_time()
        _ = left @ right
        best = max(best, 2 * size**3 / (synchronized_time() - started))
    return best


def in_fresh_process(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What `python -m module arguments` printed as its last line; its memory and its caches are its own."""
    return json.loads(output(module, arguments).strip().splitlines()[-1])


def output(module: str, arguments: Sequence[str], **variables: str) -> str:
    """What `python -m module arguments` prints, with these environment variables too; RuntimeError where it fails."""
    command = [sys.executable, "-m", module, *arguments]
    finished = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{finished.stderr[-3000:]}")
    return finished.stdout


def in_fork(measured: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The same from a copy of this process, which spares the imports; not where a GPU is in use."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            with os.fdopen(writer, "w") as file:
                json.dump(measured(), file)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as file:
        found = file.read()
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise RuntimeError("the measuring process failed")
    return json.loads(found)


def write_result(name: str, values: dict[str, Any], packages: Sequence[str] = ("trl",)) -> Path:
    """`benchmarks/results/<name>.json`, with command, commit, versions and machine."""
    made = {
        "command": " ".join(["python -m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions() | {package: metadata.version(package) for package in packages},
        "hardware": hardware(device()),
    }
    path = RESULTS / f"{name}.json"
    write_json(path, made | values)
    return path
