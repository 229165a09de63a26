"""One recipe planned for several arms: its own, LoRA of a few ranks, and full fine-tuning, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rltk.plan.capacity import Capacity, capacity
from rltk.plan.count import trainable_parameters
from rltk.plan.devices import DEVICES, Device
from rltk.plan.fit import fits, largest_micro_batch, largest_model
from rltk.plan.learning_rate import Prior, prior
from rltk.plan.memory import Layout, Memory, plan_memory
from rltk.plan.shape import Shape
from rltk.plan.spread import STAGES, Servers, Spread, fastest, named_servers
from rltk.plan.time import StepSeconds, flops_a_token, step_flops, step_seconds
from rltk.plan.workload import Tune, Workload
from rltk.recipe.schema import Full, LoRA, Recipe

RANKS = (1, 4, 8, 64)


@dataclass(frozen=True)
class Subject:
    """What is planned: a recipe, its model's shape, and where it is to run."""

    recipe: Recipe
    shape: Shape
    work: Workload
    layout: Layout
    device: Device = DEVICES[0]
    """What a spread over several GPUs is planned on."""
    dollars_an_hour: float | None = None
    """What a GPU costs, in place of the assumed prices."""


class OnDevice(NamedTuple):
    step: StepSeconds
    servers: Servers | None
    """Those that the recipe names, on such GPUs; their time and their price are counted."""
    hours: float
    dollars: float
    fits: bool
    largest_model: str | None
    largest_micro_batch: int


class Arm(NamedTuple):
    name: str
    tune: Tune
    is_recipes: bool
    trainable: int
    share: float
    memory: Memory
    other_activations: float
    """Bytes that activations take with checkpointing where the recipe is without, and without where it is with."""
    by_stage: dict[str, float]
    """Peak bytes on one GPU under ZeRO 0 to 3, without and with offload."""
    flops_a_token: float
    step_flops: float
    devices: dict[str, OnDevice]
    spreads: dict[str, Spread | None]
    """Over several GPUs, on `Subject.device`: the fastest ways of sampling here and with servers."""
    lr: float
    prior: Prior
    capacity: Capacity


def arms(subject: Subject) -> Iterator[Arm]:
    own = subject.recipe.tune
    lora = own if isinstance(own, LoRA) else LoRA()
    tunes: list[Tune] = [own]
    tunes += [lora.model_copy(update={"rank": rank}) for rank in RANKS]
    tunes.append(Full())
    for index, tune in enumerate(tunes):
        if index == 0 or tune != own:
            yield plan_arm(subject, tune)


def plan_arm(subject: Subject, tune: Tune) -> Arm:
    shape, work, recipe = subject.shape, subject.work, subject.recipe
    is_own = tune == recipe.tune
    found = prior(recipe.algo.type, tune.type, shape.hidden, shape.model_type)
    trainable = trainable_parameters(shape, tune)
    other = replace(work, has_checkpointing=not work.has_checkpointing)
    return Arm(
        name="full fine-tuning" if isinstance(tune, Full) else f"LoRA r={tune.rank}",
        tune=tune,
        is_recipes=is_own,
        trainable=trainable,
        share=trainable / shape.parameters,
        memory=plan_memory(shape, tune, work, subject.layout),
        other_activations=plan_memory(shape, tune, other, subject.layout).training.activations,
        by_stage=dict(stages(subject, tune)),
        flops_a_token=flops_a_token(shape, tune, checkpointing=work.has_checkpointing),
        step_flops=step_flops(shape, tune, work, can_pack=subject.layout.is_cpu).total,
        devices={device.name: on_device(subject, tune, device) for device in DEVICES},
        spreads=spreads(subject, tune, is_own),
        lr=recipe.optim.lr if is_own and recipe.optim.lr != "auto" else found.lr,
        prior=found,
        capacity=capacity(recipe.algo.type, work, trainable),
    )


def spreads(subject: Subject, tune: Tune, is_own: bool) -> dict[str, Spread | None]:
    """Of the arms that differ most, as there are many ways to try."""
    layout = replace(subject.layout, device="cuda")
    if layout.gpus == 1 or not (is_own or isinstance(tune, Full)):
        return {}
    return fastest(subject.shape, tune, subject.work, layout, subject.device)


def stages(subject: Subject, tune: Tune) -> Iterator[tuple[str, float]]:
    for offload in (False, True):
        for stage in STAGES:
            layout = replace(subject.layout, zero=stage, offload=offload)
            total = plan_memory(subject.shape, tune, subject.work, layout).peak.total
            yield f"{stage}{'+offload' if offload else ''}", total


def on_device(subject: Subject, tune: Tune, device: Device) -> OnDevice:
    shape, work, layout = subject.shape, subject.work, replace(subject.layout, device="cuda")
    step = step_seconds(shape, tune, work, device, layout)
    servers = named_servers(shape, tune, work, layout, device) if work.servers else None
    gpus = layout.gpus
    if servers is not None:
        step, gpus = step._replace(sampling=servers.seconds), gpus + servers.number * servers.gpus
    hours = work.steps * step.total / 3600
    price = device.dollars_an_hour if subject.dollars_an_hour is None else subject.dollars_an_hour
    return OnDevice(
        step,
        servers,
        hours,
        hours * price * gpus,
        fits(shape, tune, work, layout, device) and (servers is None or servers.has_room),
        largest_model(tune, work, layout, device),
        largest_micro_batch(shape, tune, work, layout, device),
    )


def arm_json(arm: Arm, measured: StepSeconds | None = None) -> dict[str, Any]:
    """`step_seconds` is this machine's where it was measured, and the first device's otherwise."""
    first = next(iter(arm.devices))
    seconds = measured or arm.devices[first].step
    return {
        "name": arm.name,
        "is_recipes": arm.is_recipes,
        "trainable_parameters": arm.trainable,
        "trainable_share": arm.share,
        "peak_memory_bytes": arm.memory.to_json(),
        "peak_phase": arm.memory.phase,
        "memory_by_role": {role: round(size) for role, size in arm.memory.roles.items()},
        "activations_with_the_other_checkpointing": round(arm.other_activations),
        "peak_memory_by_zero_stage": {stage: round(total) for stage, total in arm.by_stage.items()},
        "training_flops_per_token": arm.flops_a_token,
        "step_flops": arm.step_flops,
        "step_seconds": seconds.total,
        "step_seconds_on": "this machine" if measured else first,
        "spread": {way: found and found.to_json() for way, found in arm.spreads.items()},
        "devices": {name: device_json(found) for name, found in arm.devices.items()},
        "lr": arm.lr,
        "lr_prior": arm.prior._asdict(),
        "capacity": {
            "bits_offered_at_most": arm.capacity.offered,
            "bits_held": arm.capacity.held,
            "ratio": arm.capacity.ratio,
            "one_bit_a": arm.capacity.unit,
        },
    }


def device_json(found: OnDevice) -> dict[str, Any]:
    return {
        "step_seconds": found.step.total,
        "sampling_seconds": found.step.sampling,
        "training_seconds": found.step.training,
        "communication_seconds": found.step.communication,
        "run_hours": found.hours,
        "run_dollars": found.dollars,
        "servers": 0 if found.servers is None else found.servers.number,
        "gpus_a_server": 0 if found.servers is None else found.servers.gpus,
        "fits": found.fits,
        "largest_model": found.largest_model,
        "largest_micro_batch": found.largest_micro_batch,
    }
