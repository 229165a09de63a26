"""Where this process stands among those that a launcher has started: torchrun, DeepSpeed's launcher, Slurm or rltk.

All of them say so in the environment, so this needs no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from rltk.errors import UserError

SLURM_PORTS = range(20_000, 30_000)
"""From which a job's number picks one, so that all its processes know it and two jobs on a node rarely share it."""


class Place(NamedTuple):
    rank: int
    size: int
    local_rank: int
    """Among the processes of this node: which of its accelerators is this process's."""
    address: str
    port: int
    """Where the first process listens."""


def found(environment: Mapping[str, str] = os.environ) -> Place | None:
    """None where nobody but the user started this process."""
    if {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        rank, size, local_rank = (int(environment[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return Place(rank, size, local_rank, environment["MASTER_ADDR"], int(environment["MASTER_PORT"]))
    if "SLURM_STEP_NUM_TASKS" in environment and int(environment["SLURM_STEP_NUM_TASKS"]) > 1:  # only srun sets it
        rank, size, local_rank = (int(environment[f"SLURM_{key}"]) for key in ("PROCID", "STEP_NUM_TASKS", "LOCALID"))
        port = SLURM_PORTS[int(environment["SLURM_JOB_ID"]) % len(SLURM_PORTS)]
        return Place(rank, size, local_rank, first_host(environment["SLURM_STEP_NODELIST"]), port)
    return None


def first_host(nodes: str) -> str:
    """`node03` of Slurm's `node[03-05,9],other`."""
    match = re.match(r"([^\[,]+)(?:\[(\d+)[^\]]*\])?([^,]*)", nodes)
    if match is None:
        raise UserError(f"SLURM_STEP_NODELIST = {nodes!r} names no node; set MASTER_ADDR, RANK and WORLD_SIZE instead.")
    return "".join(part or "" for part in match.groups())
