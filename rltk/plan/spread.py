"""How a step is spread over many GPUs: what they split, which of them sample, and how long that takes.

All GPUs sample and then train (`all`), or some of them do nothing but sample and the others train (`servers`): vLLM
servers of one or more GPUs each, which split the weights between them. The two phases follow each other, as on-policy
training has it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from rltk.plan.devices import MEETING, USABLE, Device
from rltk.plan.fit import has_room
from rltk.plan.memory import Layout, Memory, plan_memory
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
    has_room: bool = True
    """Each holds the weights and a group's keys and values."""


class Spread(NamedTuple):
    zero: int
    offload: bool
    trainers: int
    """GPUs that train."""
    servers: Servers | None
    """None: the training GPUs sample."""
    memory: Memory
    """On a GPU that trains."""
    step: StepSeconds

    @property
    def peak(self) -> float:
        return self.memory.peak.total

    def served_by(self, servers: Servers) -> "Spread":
        return self._replace(servers=servers, step=self.step._replace(sampling=servers.seconds))

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
    """The fastest way that fits, with all GPUs sampling and with servers; None where none does.

    Where the recipe names servers these are beside the GPUs of `layout`, and all of those train.
    """
    here = trained_on(shape, tune, work, layout, device)
    if work.servers:
        named = named_servers(shape, tune, work, layout, device)
        return {"servers": here.served_by(named) if here is not None and named.has_room else None}
    if not work.is_sampled:
        return {"all": here}
    apart = replace(work, servers=1)  # how many there are makes no difference to who trains
    ways = [
        spread.served_by(servers)
        for count in range(1, layout.gpus)
        if (servers := served_by(shape, tune, work, layout, device, count)) is not None
        and (spread := trained_on(shape, tune, apart, replace(layout, gpus=layout.gpus - count), device)) is not None
    ]
    return {"all": here, "servers": min(ways, key=lambda spread: spread.step.total, default=None)}


def trained_on(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> Spread | None:
    """The fastest of the stages that fit; of equally fast ones the one that splits and moves least."""
    trials = stages(shape, tune, work, layout, device)
    found = [spread for spread in trials if has_room(spread.memory, work, device)]
    return min(found, key=lambda spread: (float(f"{spread.step.total:.2g}"), spread.offload, spread.zero), default=None)


def stages(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> Iterator[Spread]:
    sampling = sampling_seconds(shape, tune, work.on_one_of(layout.gpus), device, replace(layout, gpus=1))
    training = training_seconds(shape, tune, work, device, layout)
    for offload in (False, True):
        for stage in STAGES[1:] if offload else STAGES:
            trial = replace(layout, zero=stage, offload=offload)
            talking = communication_seconds(shape, tune, work, device, trial)
            memory = plan_memory(shape, tune, work, trial)
            yield Spread(stage, offload, layout.gpus, None, memory, StepSeconds(sampling, training, talking))


def served_by(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device, gpus: int) -> Servers | None:
    """The fastest way of serving with exactly so many GPUs; None where none holds weights and a group."""
    found = [
        Servers(gpus // each, each, serving_seconds(shape, tune, work, device, gpus // each, each, room))
        for each in A_SERVER
        if gpus % each == 0 and (room := sequences_at_once(shape, work, device, each)) >= work.group
    ]
    best = min(found, key=lambda servers: servers.seconds, default=None)
    return None if best is None else brought_up_to_date(best, shape, tune, layout, device)


def named_servers(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> Servers:
    """Those of the recipe, of as few such GPUs each as have room, or of the most that may serve together."""
    rooms = {each: sequences_at_once(shape, work, device, each) for each in A_SERVER}
    each = next((each for each, room in rooms.items() if room >= work.group), A_SERVER[-1])
    seconds = serving_seconds(shape, tune, work, device, work.servers, each, max(rooms[each], work.group))
    servers = Servers(work.servers, each, seconds, has_room=rooms[each] >= work.group)
    return brought_up_to_date(servers, shape, tune, layout, device)


def brought_up_to_date(servers: Servers, shape: Shape, tune: Tune, layout: Layout, device: Device) -> Servers:
    """With the time that new weights take to reach them in full fine-tuning; an adapter takes none to speak of."""
    sent = SERVED * shape.parameters / link_of(device, layout) if isinstance(tune, Full) else 0.0
    return servers._replace(seconds=servers.seconds + sent)


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
