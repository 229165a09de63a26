"""What the commands take that train nothing: check, plan, recipes, doctor and completion."""

from __future__ import annotations

import argparse

from rltk.arguments.common import add_json, add_recipe
from rltk.arguments.values import positive, whole


def check_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    data = (
        "look at the data too: rows as training sees them, answers, lengths, repeats, chat template, room on the disk"
    )
    parser.add_argument("--data", action="store_true", help=data)
    add_json(parser)


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    gpus = "GPUs that share the step; default: what the recipe's hardware says"
    parser.add_argument("--gpus", metavar="N", type=whole(1), help=gpus)
    nodes = "machines that these GPUs are in; default: 1 with --gpus, else as hardware says"
    parser.add_argument("--nodes", metavar="N", type=whole(1), help=nodes)
    of = "where there are several GPUs: those that a spread of the step is planned on; default: H100"
    parser.add_argument("--device", choices=("H100", "H200", "A100", "4090"), help=of)
    stage = "ZeRO: 1 spreads the optimizer's state over GPUs, 2 gradients too, 3 weights too; default: as hardware says"
    parser.add_argument("--zero", metavar="STAGE", type=int, choices=(0, 1, 2, 3), help=stage)
    parser.add_argument("--offload", action="store_true", help="with --zero: what is spread lies in the host's memory")
    where = "plan memory for this; default: what the recipe would run on here, GPUs with --profile none"
    parser.add_argument("--on", choices=("cpu", "gpu"), help=where)
    parser.add_argument("--prompt-tokens", metavar="N", type=whole(1), help="tokens of a prompt; default: 128")
    completion = "tokens of a completion; default: the recipe's limit"
    parser.add_argument("--completion-tokens", metavar="N", type=whole(1), help=completion)
    parser.add_argument("--price", metavar="DOLLARS", type=positive, help="what a GPU costs an hour")
    parser.add_argument("--measure", action="store_true", help="time a small part of the step on this machine, seconds")
    add_json(parser)


def recipes_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this recipe")
    add_json(parser)


def doctor_arguments(parser: argparse.ArgumentParser) -> None:
    torch = "also import torch, which takes seconds, and try what it can do"
    parser.add_argument("--torch", action="store_true", help=torch)
    add_json(parser)


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for this shell")
