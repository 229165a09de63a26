"""`rltk launch`: what starts a run on several processes or nodes, and what DeepSpeed is told; or the start itself."""

from __future__ import annotations

import json
from argparse import Namespace
from shlex import join

from rltk.commands.train import make_plan, train
from rltk.distributed.config import deepspeed_config, trainer_config
from rltk.recipe.schema import Hardware, Offline, Recipe


def launch(args: Namespace) -> int:
    if not args.print:
        return train(args)
    recipe = make_plan(args).recipe
    argv = [word for word in args.argv if word not in ("--print", "--json")]
    commands, config = start_commands(recipe.hardware, argv), config_of(recipe)
    if args.json:
        print(json.dumps({"commands": commands, "deepspeed": config}))
        return 0
    print("\n".join(f"# {how}\n{command}" for how, command in commands.items()))
    said = "without DeepSpeed: hardware.deepspeed.zero is 0" if config is None else "DeepSpeed's configuration"
    print(f"# {said}" + ("" if config is None else f"\n{json.dumps(config, indent=2)}"))
    return 0


def start_commands(hardware: Hardware, argv: list[str]) -> dict[str, str]:
    """What to type, by where it is typed. All of them start the same processes, which find each other.

    What stands behind `--` torchrun takes for the program's own; it would read `--run` as one of its options.
    """
    rltk = ["rltk", "train", *argv]
    if hardware.nodes == 1:
        counts = ["--nproc-per-node", str(hardware.processes)]
        return {"here": join(rltk), "or under torchrun": join(["torchrun", *counts, "-m", "--", *rltk])}
    counts = ["--nnodes", str(hardware.nodes), "--nproc-per-node", str(hardware.processes)]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "FIRST_NODE:29400"]
    slurm = ["srun", "--nodes", str(hardware.nodes), "--ntasks-per-node", str(hardware.processes)]
    slurm += ["--gpus-per-node", str(hardware.processes)]
    deepspeed = ["deepspeed", "--hostfile", "HOSTS", "--no_local_rank", "--module"]
    return {
        "on every node": join(["torchrun", *counts, *meeting, "-m", "--", *rltk]),
        "or once, under Slurm": join([*slurm, *rltk]),
        "or once, by DeepSpeed's launcher": join([*deepspeed, *rltk]),
    }


def config_of(recipe: Recipe) -> dict[str, object] | None:
    """None where DeepSpeed has no part in it."""
    options = recipe.hardware.deepspeed
    if not options.zero:
        return None
    if isinstance(recipe.algo, Offline):
        return trainer_config(options, recipe.optim, recipe.model.dtype)
    return deepspeed_config(options, recipe.optim)
