"""Starts the processes of a run on this node by torch elastic's process layer, and waits for them.

What torchrun adds, restarts and rendezvous, is left out: a run is resumed from its checkpoint, and nodes are joined by
torchrun, Slurm or DeepSpeed's launcher. What it lacks: Ctrl-C lets the processes finish their step, and of several that
fail the one that failed first is heard.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, PContext, Std, start_processes
from torch.distributed.elastic.multiprocessing.api import RunProcsResult
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from rltk.distributed.library import refuse_absent
from rltk.errors import UserError
from rltk.recipe.schema import Hardware

POLL = 0.2
"""Seconds between looks at the processes."""


def launch(argv: Sequence[str], processes: int) -> int:
    """Runs `rltk` with these arguments in as many processes; the exit status of the first that fails, or 0."""
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with TemporaryDirectory() as folder:
        ranks = range(processes)
        context = start_processes(
            "rltk",
            sys.executable,
            dict.fromkeys(ranks, ("-m", "rltk", *argv)),
            dict(enumerate(environments(processes))),
            # The first speaks for all; what the others say is kept for when one of them is the first to fail.
            DefaultLogsSpecs(folder, redirects={rank: Std.ALL if rank else Std.NONE for rank in ranks}),
        )
        with passing_signals_on(context):
            while (result := context.wait(0)) is None:
                time.sleep(POLL)
        return status(result, processes)


def refuse_unfit(hardware: Hardware) -> None:
    """What this machine has no room for, or no DeepSpeed, and what one machine alone cannot start."""
    processes, nodes = hardware.processes, hardware.nodes
    if hardware.deepspeed.zero:
        refuse_absent()
    visible = torch.cuda.device_count() if torch.cuda.is_available() else processes
    if processes > visible:
        raise UserError(
            f"hardware.processes = {processes}, and {visible} GPUs are visible; set it to at most {visible}, or check "
            "CUDA_VISIBLE_DEVICES."
        )
    if nodes > 1:
        raise UserError(
            f"hardware.nodes = {nodes}: start the run on every node with the command that `rltk launch --print` shows."
        )


def environments(processes: int) -> list[dict[str, str]]:
    """Of each process, what torchrun would set."""
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    common = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"LOCAL_WORLD_SIZE": str(processes), "OMP_NUM_THREADS": threads}
    return [common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def passing_signals_on(context: PContext) -> Iterator[None]:
    """The processes are in sessions of their own, so Ctrl-C does not reach them; the processes decide what it means."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        for pid in context.pids().values():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status(result: RunProcsResult, processes: int) -> int:
    """0, or that of the process that failed first, whose last words are said where they were not heard."""
    if not result.is_failed():
        return 0
    first: ProcessFailure = next(iter(result.failures.values()))  # the others were ended because of it
    rank = first.local_rank
    if first.exitcode < 0:
        name = signal.Signals(-first.exitcode).name
        print(f"rltk: process {rank} of {processes} was ended by {name}; --resume goes on.", file=sys.stderr)
        return 128 - first.exitcode
    if rank and (said := Path(result.stderrs[rank]).read_text(encoding="utf-8").strip()):
        print(f"rltk: process {rank} of {processes} failed first, and said:\n{said}", file=sys.stderr)
    return first.exitcode
