"""How a process joins those it trains with, and how it leaves them when it or another fails."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import TextIO

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from rltk.distributed.place import Place
from rltk.errors import UserError
from rltk.run.atomic import Writer

PATIENCE = timedelta(hours=6)
"""The longest that processes wait for each other: a scoring server may take its time. A death is heard at once."""
LOST = ("closed by peer", "reset by peer", "Broken pipe", "gloo", "NCCL")
"""What torch says to a process whose peer has gone."""
SOON = 0.1
"""Seconds between looks."""
GRACE = 20
"""Seconds that such a process waits for its launcher to end it, so that the first failure is the one that is shown."""
LAST_WORDS = 60
"""Seconds that the first process has to save and to speak, where a run ends before its end."""
LEFT, PARTING = "left", 1.0
"""Key that the first process sets when it has, and seconds that one process waits for others to see or say the last."""


def joined(place: Place, work: Callable[[], int]) -> int:
    """The exit status of `work`, for which `rltk.distributed.world` is that of all processes; they leave together."""
    store = join(place)
    try:
        status = work()
        if status:
            # Some of them may have left a step that the others are in, and would not come to a barrier.
            wait_for_first(store, place)
        else:
            dist.barrier()
            dist.destroy_process_group()
        return status
    except UserError as error:
        if place.rank and error.is_shared:
            time.sleep(PARTING)  # the first says it
        elif place.rank:  # the first has not heard of it
            print(f"rltk: {error}", file=sys.__stderr__, flush=True)
        raise
    except RuntimeError as error:
        if any(word in str(error) for word in LOST):
            wait_for_the_end()
        raise


def join(place: Place) -> dist.Store:
    """The processes' store of keys, which the first one or their launcher keeps."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        refuse_too_few(place, torch.cuda.device_count())
        torch.cuda.set_device(place.local_rank)
    url = f"tcp://{place.address}:{place.port}"
    store, *_ = next(rendezvous(url, place.rank, place.size, timeout=PATIENCE))
    backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
    os.environ.update(environment(place))
    if place.rank:
        be_quiet()
    return store


def wait_for_first(store: dist.Store, place: Place) -> None:
    """The first process has the last word: a launcher ends all others when one of them leaves."""
    if place.rank == 0:
        store.set(LEFT, "")
        time.sleep(PARTING)  # the store goes with it, which the others would complain of
        return
    deadline = time.monotonic() + LAST_WORDS
    while time.monotonic() < deadline:
        try:
            if store.check([LEFT]):
                return
        except RuntimeError:  # it has gone, and its store with it
            return
        time.sleep(SOON)


def environment(place: Place) -> dict[str, str]:
    """Where accelerate and DeepSpeed look, whoever started this process."""
    numbers = {"RANK": place.rank, "WORLD_SIZE": place.size, "LOCAL_RANK": place.local_rank, "MASTER_PORT": place.port}
    return {key: str(number) for key, number in numbers.items()} | {"MASTER_ADDR": place.address}


def refuse_too_few(place: Place, visible: int) -> None:
    if place.local_rank >= visible:
        raise UserError(
            f"process {place.local_rank} of this node has no GPU of its own: {visible} are visible; start no more "
            "processes than that."
        )


def be_quiet() -> None:
    """Only the first process writes and speaks; what is no fault of the user's is still heard of from any."""
    Writer.is_here = False
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    sys.excepthook = report


def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    stderr: TextIO | None = sys.__stderr__
    traceback.print_exception(kind, error, trace, file=stderr)


def wait_for_the_end() -> None:
    """Another process has failed first, and its launcher is about to end this one."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(GRACE)
