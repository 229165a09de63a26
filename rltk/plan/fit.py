"""The largest model, and the largest micro-batch, of which a step fits a GPU."""

from dataclasses import replace

from rltk.plan.devices import USABLE, Device
from rltk.plan.known import KNOWN, LADDER
from rltk.plan.memory import Layout, Memory, plan_memory
from rltk.plan.shape import Shape, shape_of
from rltk.plan.workload import Tune, Workload


def fits(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> bool:
    return has_room(plan_memory(shape, tune, work, layout), work, device)


def has_room(memory: Memory, work: Workload, device: Device) -> bool:
    """In both phases; vLLM inside the process has its share while it samples and sleeps while the policy trains."""
    room = USABLE * device.memory
    return memory.training.total <= room and memory.sampling.total + work.vllm_share * device.memory <= room


def largest_model(tune: Tune, work: Workload, layout: Layout, device: Device) -> str | None:
    """The largest of one family, one sequence at a time if need be; None where not even the smallest fits."""
    found = None
    for name in LADDER:
        shape = shape_of(KNOWN[name])
        assert shape is not None
        if fits(shape, tune, one_by_one(work), layout, device):
            found = name
    return found


def one_by_one(work: Workload) -> Workload:
    """The same step with as little at once as there can be: one completion trained, one group sampled."""
    return replace(work, micro_tokens=work.lengths.total, rollout_batch=min(work.group, work.sequences))


def largest_micro_batch(shape: Shape, tune: Tune, work: Workload, layout: Layout, device: Device) -> int:
    """Sequences in one forward and backward pass, by halving the interval; 0 where not even one fits."""
    low, high = 0, work.sequences
    while low < high:
        middle = (low + high + 1) // 2
        trial = replace(one_by_one(work), micro_tokens=middle * work.lengths.total)
        if fits(shape, tune, trial, layout, device):
            low = middle
        else:
            high = middle - 1
    return low
