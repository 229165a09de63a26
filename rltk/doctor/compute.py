"""What torch finds on this machine, and how fast it multiplies."""

from __future__ import annotations

import time
from typing import Any

import torch

SIZE, TIMES = 1024, 5


def try_torch() -> dict[str, Any]:
    """Devices, and GFLOP/s of products of square matrices, the best of a few tries."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    speeds = {name: round(max(gflops(device, dtype) for _ in range(TIMES))) for name, dtype in dtypes.items()}
    return {"device": device.type, "gpus": names, "threads": torch.get_num_threads(), "gflops": speeds}


def gflops(device: torch.device, dtype: torch.dtype) -> float:
    matrix = torch.ones(SIZE, SIZE, device=device, dtype=dtype)
    wait(device)
    started = time.perf_counter()
    _ = matrix @ matrix
    wait(device)
    return 2 * SIZE**3 / (time.perf_counter() - started) / 1e9


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
