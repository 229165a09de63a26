"""What `rltk train` takes, and the commands that look at runs or hand them on."""

from __future__ import annotations

import argparse

from rltk.arguments.common import add_json, add_quiet, add_recipe
from rltk.arguments.values import named, positive


def train_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|RUN", also="; with --resume also the folder of a run")
    parser.add_argument(
        "--run", metavar="DIR", type=named, help="keep the run in this folder rather than a new one in run.dir"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    watch = "end when the held-out gold reward turns down (short for eval.stop_on_overoptimisation=true)"
    parser.add_argument("--stop-on-overoptimisation", action="store_true", help=watch)
    add_quiet(parser)
    add_json(parser)


def launch_arguments(parser: argparse.ArgumentParser) -> None:
    train_arguments(parser)
    parser.add_argument("--print", action="store_true", help="show commands and DeepSpeed's configuration only")


def runs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", nargs="?", default="runs", type=named, help="default: runs")
    keys = ("started", "name", "algo", "arm", "status", "steps", "before", "after")
    parser.add_argument("--sort", metavar="KEY", choices=keys, default="started", help=f"by {', '.join(keys)}")
    for key, what in (("name", "recipe"), ("algo", "algorithm"), ("arm", "arm, such as lora-8 or full")):
        parser.add_argument(f"--{key}", metavar=key.upper(), type=named, help=f"only runs of this {what}")
    states = ("running", "stopped", "interrupted", "failed", "finished")
    parser.add_argument("--status", choices=states, help="only runs that are in this state")
    add_json(parser)


def watch_arguments(parser: argparse.ArgumentParser) -> None:
    paths = "folders of runs, or folders that hold some; default: runs"
    parser.add_argument("paths", metavar="RUN|DIR", nargs="*", type=named, help=paths)
    parser.add_argument("--once", action="store_true", help="show what there is now, and leave")
    parser.add_argument(
        "--every", metavar="SECONDS", type=positive, default=2.0, help="look again so often; default: 2"
    )


def export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=named, help="the folder of a finished run")
    parser.add_argument("out", metavar="OUT", type=named, help="a new folder")
    parser.add_argument("--merge", action="store_true", help="add the adapter to its base: a model of its own")
    dtype = "of a merged or whole model; default: float32, as it was trained"
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help=dtype)
    parser.add_argument("--push", metavar="REPO", type=named, help="put it on the Hugging Face hub too, privately")
    parser.add_argument(
        "--public", action="store_true", help="with --push: for everyone to see, if the repository is new"
    )
    add_json(parser)
