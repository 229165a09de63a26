"""What `rltk compare` takes, and the commands that gather evidence from runs: report, scaling, findings."""

from __future__ import annotations

import argparse

from rltk.arguments.common import add_json, add_quiet, add_recipe
from rltk.arguments.values import cluster, named, part_of, seconds, whole


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|FOLDER", also="; or the folder of a comparison, which goes on as it was begun")
    out = "keep the comparison in this folder rather than in <run.dir>/compare/<name>"
    parser.add_argument("--out", metavar="DIR", type=named, help=out)
    add_crew(parser)
    parser.add_argument("--dry-run", action="store_true", help="list the runs and the time they will take")
    add_quiet(parser)
    add_json(parser)


def add_crew(parser: argparse.ArgumentParser) -> None:
    """Where, and how long, a command makes runs."""
    jobs = "runs at a time; default: one, or one a GPU"
    parser.add_argument("--jobs", metavar="N", type=whole(1), help=jobs)
    on = (
        "make them on a Ray cluster, a GPU each or else a CPU: ray://HOST:10001, or ray for one on this machine; all "
        "nodes have rltk and share the disk"
    )
    parser.add_argument("--on", metavar="CLUSTER", type=cluster, help=on)
    budget = "start no run after so long, such as 30m or 1h30m, and say what is missing"
    parser.add_argument("--budget", metavar="TIME", type=seconds, help=budget)
    part = "make the runs of one machine in several, such as 1/2 here and 2/2 there; then copy the run folders together"
    parser.add_argument("--part", metavar="I/N", type=part_of, help=part)


def report_arguments(parser: argparse.ArgumentParser) -> None:
    paths = "folders of runs, whose curves are laid over each other, or the folder of one comparison"
    parser.add_argument("paths", metavar="RUN|COMPARISON", nargs="+", type=named, help=paths)
    out = "write the page to this file rather than to report.html in the folder"
    parser.add_argument("--out", metavar="FILE", type=named, help=out)
    parser.add_argument("--figures", metavar="DIR", type=named, help="also write each chart as SVG and PNG into DIR")
    add_json(parser)


def scaling_arguments(parser: argparse.ArgumentParser) -> None:
    what = "run makes the runs of a grid, compare.scaling of a recipe; fit fits laws to their results, or any others"
    parser.add_argument("what", metavar="run|fit", choices=("run", "fit"), help=what)
    target = (
        "to run: a recipe, or the folder of a grid, which goes on; to fit: a .jsonl, .json or .csv file of rows with "
        "arm, data, loss and perhaps size (of the model, say, or rank)"
    )
    parser.add_argument("target", metavar="RECIPE|RESULTS", type=named, help=target)
    parser.add_argument("overrides", metavar="key=value", nargs="*", default=[], help="run: such as optim.lr=1e-5")
    profiles = (
        "run: lay this profile of the recipe over it; auto (default): laptop where no accelerator is visible; none"
    )
    parser.add_argument("--profile", metavar="NAME", help=profiles)
    out = "run: keep the grid in this folder rather than in <run.dir>/scaling/<name>"
    parser.add_argument("--out", metavar="DIR", type=named, help=out)
    add_crew(parser)
    add_quiet(parser, "run: ")
    reference = "fit: the arm that the others are compared with; default: one called full"
    parser.add_argument("--reference", metavar="ARM", type=named, help=reference)
    residual = "fit: what is fitted: losses (default), or their logarithms"
    parser.add_argument("--residual", choices=("loss", "log_loss"), help=residual)
    parser.add_argument(
        "--draws", metavar="N", type=whole(0), help="fit: bootstrap fits for the intervals; default: 200"
    )
    parser.add_argument("--seed", metavar="N", type=whole(0), help="fit: seed of the bootstrap")
    parser.add_argument(
        "--plot", metavar="FILE", type=named, help="fit: draw losses and laws into this .svg, .png or .pdf"
    )
    add_json(parser)


def findings_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="measure these findings, such as INV-0; none lists them all"
    )
    parser.add_argument("--tier", type=whole(0), choices=(0, 1, 2), help="all of a tier; 0 is exact and quick")
    parser.add_argument("--status", action="store_true", help="show results instead of measuring")
    source = "read it from this finished comparison, or folder of runs, rather than from one under runs/; repeatable"
    parser.add_argument(
        "--from", dest="sources", metavar="FOLDER", action="append", default=[], type=named, help=source
    )
    dry = "list the runs that a finding takes, and the time, without making them"
    parser.add_argument("--dry-run", action="store_true", help=dry)
    jobs = "runs at a time, where a finding takes a comparison; default: one, or one a GPU"
    parser.add_argument("--jobs", metavar="N", type=whole(1), help=jobs)
    budget = "start no run after so long, such as 30m; the same command goes on"
    parser.add_argument("--budget", metavar="TIME", type=seconds, help=budget)
    parser.add_argument("--markdown", action="store_true", help="with --status: as a page in Markdown")
    out = "folder of the results (default: runs/findings)"
    parser.add_argument("--out", metavar="DIR", type=named, default="runs/findings", help=out)
    parser.add_argument("--strict", action="store_true", help="leave with status 1 if a finding is not reproduced")
    add_quiet(parser)
    add_json(parser)
