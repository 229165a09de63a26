"""How a step is spread over many GPUs: what they split, which of them sample, and how long that takes.

All GPUs sample and then train (`all`), or some of them do nothing but sample and the others train (`servers`): vLLM
servers of one or more GPUs each, which split the weights between them. The two phases follow each other, as on-policy
training has it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from rltk.plan.devices import MEETING, USABLE, Device
from rltk.plan.memory import Layout, plan_memory
from rltk.plan.shape import Shape
from rltk.plan.time import StepSeconds, communication_seconds, link_of, sampling_seconds, training_seconds
from rltk.plan.workload import Tune, Workload
from rltk.recipe.schema import Full

STAGES = (0, 1, 2, 3)
A_SERVER = (1, 2, 4, 8)
"""GPUs that may serve together: more would have to talk across nodes for every token."""
SERVED = 2
"""Bytes of a weight on a server, whatever it trains in."""


class Servers(NamedTuple):
    number: int
    gpus: int
    """Of each."""
    seconds: float
    """Of sampling a step's completions."""


class Spread(NamedTuple):
    zero: int
    offload: bool
    trainers: int
    """GPUs that train."""
    servers: Servers | None
    """None: the training GPUs sample."""
    peak: float
    """Bytes on a GPU that trains."""
    step: StepSeconds

    def to_json(self) -> dict[str, Any]:
        return {
            "zero": self.zero,
            "offload": self.offload,
            "training_gpus": self.trainers,
            "servers": 0 if self.servers is None else self.servers.number,
            "gpus_a_server": 0 if self.servers is None else self.servers.gpus,
            "peak_memory_bytes": round(self.peak),
            "step_seconds": self.step.total,
            "sampling_seconds": self.step.sampling,
            "training_seconds": self.step.training,
            "communication_seconds": self.step.communication,
        }


def fastest(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> dict[str, Spread | None]:
    """The fastest way that fits, with all GPUs sampling and with servers; None where none does."""
    here = trained_on(shape, tune, work, layout, device)
    if not work.is_sampled:
        return {"all": here}
    apart = replace(work, is_sampled=False)
    ways = [
        spread._replace(servers=servers, step=spread.step._replace(sampling=servers.seconds))
        for count in range(1, layout.gpus)
        if (servers := served_by(shape, tune, work, layout, device, count)) is not None
        and (spread := trained_on(shape, tune, apart, replace(layout, gpus=layout.gpus - count), device)) is not None
    ]
    return {"all": here, "servers": min(ways, key=lambda spread: spread.step.total, default=None)}


def trained_on(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> Spread | None:
    """The fastest of the stages that fit; of equally fast ones the one that splits and moves least."""
    found = [spread for spread in stages(shape, tune, work, layout, device) if spread.peak <= USABLE * device.memory]
    return min(found, key=lambda spread: (float(f"{spread.step.total:.2g}"), spread.offload, spread.zero), default=None)


def stages(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> Iterator[Spread]:
    sampling = sampling_seconds(shape, tune, work.on_one_of(layout.gpus), device, replace(layout, gpus=1))
    training = training_seconds(shape, tune, work, device, layout)
    for offload in (False, True):
        for stage in STAGES[1:] if offload else STAGES:
            trial = replace(layout, zero=stage, offload=offload)
            talking = communication_seconds(shape, tune, work, device, trial)
            peak = plan_memory(shape, tune, work, trial).peak.total
            yield Spread(stage, offload, layout.gpus, None, peak, StepSeconds(sampling, training, talking))


def served_by(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device, gpus: int) -> Servers | None:
    """The fastest way of serving with exactly so many GPUs; None where none holds weights and a group."""
    found = [
        Servers(gpus // each, each, serving_seconds(shape, tune, work, device, gpus // each, each, room))
        for each in A_SERVER
        if gpus % each == 0 and (room := sequences_at_once(shape, work, device, each)) >= work.group
    ]
    best = min(found, key=lambda servers: servers.seconds, default=None)
    if best is None or not isinstance(tune, Full):
        return best
    return best._replace(seconds=best.seconds + SERVED * shape.parameters / link_of(device, layout))  # new weights


def serving_seconds(
    shape: Shape, tune: Tune, work: Workload, device: Device, servers: int, each: int, room: int
) -> float:
    """As one GPU would do a server's share, divided by the GPUs that split the weights; these meet twice a layer."""
    share = replace(work.on_one_of(servers), rollout_batch=room)
    alone = sampling_seconds(shape, tune, share, device, Layout())
    rounds = -(-share.sequences // share.at_once)
    meetings = 2 * shape.layers * rounds * work.lengths.completion if each > 1 else 0
    return alone / each + meetings * MEETING


def sequences_at_once(shape: Shape, work: Workload, device: Device, gpus: int) -> int:
    """Completions whose keys and values have room on a server beside its weights."""
    free = USABLE * device.memory * gpus - SERVED * shape.parameters
    each = 2 * shape.layers * shape.key_heads * shape.head_size * SERVED * work.lengths.total
    return max(0, int(free // each))
