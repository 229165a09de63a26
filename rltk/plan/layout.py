"""Where a recipe is planned to run: what its hardware says, or what is asked for instead; and what to know of that."""

from collections.abc import Iterator
from typing import NamedTuple

from rltk.errors import UserError
from rltk.plan.memory import Layout
from rltk.recipe.schema import Hardware, Recipe


class Asked(NamedTuple):
    """Instead of the recipe's hardware; None is as there."""

    gpus: int | None = None
    """In all, on all nodes."""
    nodes: int | None = None
    zero: int | None = None
    offload: bool = False


def layout_of(hardware: Hardware, asked: Asked, device: str) -> Layout:
    """GPUs that are asked for are in one node where no nodes are; nodes that are have the recipe's processes each."""
    nodes = asked.nodes or (1 if asked.gpus else hardware.nodes)
    gpus = asked.gpus or hardware.processes * nodes
    if gpus % nodes:
        raise UserError(f"--nodes {nodes} does not divide --gpus {gpus}, which are those of all nodes.")
    if gpus == 1 and asked.zero and not asked.offload:
        raise UserError(
            f"--zero {asked.zero} spreads a model over GPUs, and --gpus is 1; say how many there are, or add --offload."
        )
    zero = hardware.deepspeed.zero if asked.zero is None else asked.zero
    if asked.offload and not zero:
        raise UserError("--offload goes with --zero 1, 2 or 3; add one of them.")
    return Layout(gpus, nodes, zero, asked.offload or (zero > 0 and hardware.deepspeed.offload != "none"), device)


def layout_notes(recipe: Recipe, asked: Asked) -> Iterator[str]:
    """What of the plan comes from the recipe's hardware, and what of its rollouts is not in the memory of the plan."""
    hardware, rollout = recipe.hardware, recipe.rollout
    if hardware != Hardware() and asked == Asked():
        yield "planned for the recipe's hardware; --gpus, --nodes, --zero and --offload plan for another"
    if hardware.deepspeed.offload == "nvme":
        yield "hardware.deepspeed.offload = nvme is planned as cpu: what the disk takes is in none of the times"
    if rollout.servers:
        yield (
            f"rollout.servers names {len(rollout.servers)}, which hold the cache: their memory is not in the plan, and "
            "their time and price are, for servers of as few such GPUs each as have room"
        )
    elif rollout.engine == "vllm":
        yield (
            f"vLLM takes {rollout.gpu_memory:.0%} of each GPU (rollout.gpu_memory) while it samples, for weights and "
            "cache of its own: that is beside the numbers of the plan, and in what fits"
        )
