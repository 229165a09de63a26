"""A plan on the terminal: arms side by side, where the memory goes, what GPUs would take, and what is known."""

from collections.abc import Sequence

from rich.table import Table

from rltk.evaluation.tables import say, show
from rltk.plan.advice import MEANINGS, advice_for
from rltk.plan.arms import Arm, Subject
from rltk.plan.devices import OFFERS, SAMPLING_EFFICIENCY, TRAINING_EFFICIENCY
from rltk.plan.spread import Spread
from rltk.plan.time import StepSeconds

PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "kv_cache")


def show_plan(
    source: str,
    notes: Sequence[str],
    subject: Subject,
    planned: Sequence[Arm],
    measured: dict[str, StepSeconds] | None,
    warnings: Sequence[str],
) -> None:
    say("\n".join([*head(source, subject), *(f"note     {note}" for note in notes)]))
    show_arms(planned)
    show_memory(planned, subject)
    show_devices(planned[0], subject)
    if measured:
        share = f", one share of {subject.layout.gpus}" if subject.layout.gpus > 1 else ""
        for step in measured.values():
            say(f"measured on this machine: {spoken(step.total)} a step ({spoken(step.sampling)} sampling){share}")
    show_rate(planned[0])
    show_capacity(planned)
    for warning in warnings:
        say(f"warning  {warning}")
    show_advice(subject, planned[0])


def head(source: str, subject: Subject) -> list[str]:
    shape, work = subject.shape, subject.work
    active = f", {billions(shape.active_parameters)} active" if shape.experts_a_token else ""
    return [
        f"recipe   {source}",
        f"model    {subject.recipe.model.path}: {shape.model_type}, {billions(shape.parameters)} parameters{active}",
        f"step     {work.sequences} sequences of {work.lengths.prompt} prompt and at most "
        f"{work.lengths.completion} completion tokens; planned for {subject.layout}",
    ]


def show_arms(planned: Sequence[Arm]) -> None:
    table = plain_table("arm", "trains", "share", "peak memory", "FLOPs a token", "FLOPs a step", "learning rate")
    for arm in planned:
        table.add_row(
            f"{arm.name}{' (the recipe)' if arm.is_recipes else ''}",
            billions(arm.trainable),
            f"{arm.share:.2%}",
            size(arm.memory.peak.total),
            f"{arm.flops_a_token:.3g}",
            f"{arm.step_flops:.3g}",
            f"{arm.lr:.2g}",
        )
    show(table)


def show_memory(planned: Sequence[Arm], subject: Subject) -> None:
    is_on = subject.work.has_checkpointing
    say(f"\nmemory, each part at its most ({'with' if is_on else 'without'} gradient checkpointing)")
    other = f"activations {'without' if is_on else 'with'}"
    table = plain_table("arm", *(part.replace("_", " ") for part in PARTS), "peak in", other)
    for arm in planned:
        parts = arm.memory.to_json()
        cells = [size(parts[part]) for part in PARTS]
        table.add_row(arm.name, *cells, arm.memory.phase, size(arm.other_activations))
    show(table)
    show_roles(planned)
    if subject.layout.is_split:
        show_stages(planned, subject)
    if subject.layout.gpus > 1:
        show_spreads(planned, subject)


def show_roles(planned: Sequence[Arm]) -> None:
    """Where there are several; an arm in which one is missing shares the policy's weights for it."""
    roles = list(dict.fromkeys(role for arm in planned for role in arm.memory.roles))
    if len(roles) == 1:
        return
    say("\nweights that each role holds beside the policy's")
    table = plain_table("arm", *roles)
    for arm in planned:
        held = arm.memory.roles
        table.add_row(arm.name, *(size(held[role]) if role in held else "none" for role in roles))
    show(table)


def show_stages(planned: Sequence[Arm], subject: Subject) -> None:
    layout = subject.layout
    where = f"each of {layout.gpus} {'processes' if layout.is_cpu else 'GPUs'}" if layout.gpus > 1 else str(layout)
    say(f"\npeak memory on {where}, by ZeRO stage")
    stages = list(planned[0].by_stage)
    table = plain_table("arm", *stages)
    for arm in planned:
        table.add_row(arm.name, *(size(arm.by_stage[stage]) for stage in stages))
    show(table)


def show_spreads(planned: Sequence[Arm], subject: Subject) -> None:
    layout, device = subject.layout, subject.device
    where = f" in {layout.nodes} nodes" if layout.nodes > 1 else ""
    say(f"\nthe fastest ways that fit {layout.gpus} {device.name}s{where}, estimated")
    columns = ("sampling by", "train", "ZeRO", "servers", "peak", "a step", "sampling", "training", "communication")
    table = plain_table("arm", *columns)
    for arm in planned:
        for way, found in arm.spreads.items():
            table.add_row(arm.name, way, *(spread_cells(found) if found else ["none fits"]))
    show(table)


def spread_cells(found: Spread) -> list[str]:
    servers = found.servers
    return [
        f"{found.trainers} GPUs",
        f"{found.zero}{' with offload' if found.offload else ''}",
        "none" if servers is None else f"{servers.number} of {servers.gpus} GPU{'s' if servers.gpus > 1 else ''}",
        size(found.peak),
        *map(spoken, (found.step.total, found.step.sampling, found.step.training, found.step.communication)),
    ]


def show_devices(own: Arm, subject: Subject) -> None:
    say(f"\n{own.name} on GPUs, {subject.layout.gpus} of them, estimated")
    columns = ("a step", "sampling", "the run", "costs", "fits", "largest model that fits", "sequences at once")
    if subject.work.servers:
        columns += ("GPUs a server",)
    table = plain_table("GPU", *columns)
    for name, found in own.devices.items():
        table.add_row(
            name,
            spoken(found.step.total),
            spoken(found.step.sampling),
            f"{found.hours:.2g} h",
            f"${found.dollars:.2g}",
            "yes" if found.fits else "no",
            found.largest_model or "none",
            str(found.largest_micro_batch),
            *([] if found.servers is None else [str(found.servers.gpus)]),
        )
    show(table)
    price = OFFERS if subject.dollars_an_hour is None else f"${subject.dollars_an_hour:g} an hour, as given"
    say(
        f"assumed: training at {TRAINING_EFFICIENCY:.0%} of the stated FLOP/s, decoding at {SAMPLING_EFFICIENCY:.0%} "
        f"of the stated bandwidth, all completions at their limit; prices: {price}"
    )


def show_rate(own: Arm) -> None:
    found = own.prior
    say(f"\nlearning rate: prior {found.lr:.2g}, documented from {found.low:.1g} to {found.high:.1g}: {found.source}")


def show_capacity(planned: Sequence[Arm]) -> None:
    offered = planned[0].capacity
    say(f"capacity: the run offers at most {offered.offered:,.0f} bits (1 by each {offered.unit}); a parameter holds 2")
    for arm in planned:
        say(f"  {arm.name}: {arm.capacity.held:,.0f} bits, {arm.capacity.ratio:.2g} times: {arm.capacity.meaning}")


def show_advice(subject: Subject, own: Arm) -> None:
    say("\nwhat is known")
    for one in advice_for(subject.recipe.algo.type, own.tune.type):
        say(f"  {one.about} ({one.grade}: {MEANINGS[one.grade]}): {one.says}\n    source: {one.source}")


def billions(count: float) -> str:
    for factor, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return f"{count:.0f}"


def size(count: float) -> str:
    """Bytes in binary units, as GPUs' memory is counted by tools."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def spoken(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def plain_table(first: str, *others: str) -> Table:
    """Text on the left, numbers on the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table
