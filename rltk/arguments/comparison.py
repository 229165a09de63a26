"""What `rltk compare` takes, and the commands that gather evidence from runs: report, scaling, findings."""

from __future__ import annotations

import argparse

from rltk.arguments.common import add_json, add_recipe
from rltk.arguments.values import named, part_of, seconds, whole


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|FOLDER", also="; or the folder of a comparison, which goes on as it was begun")
    out = "keep the comparison in this folder rather than in <run.dir>/compare/<name>"
    parser.add_argument("--out", metavar="DIR", type=named, help=out)
    jobs = "runs at a time; default: one, or one a GPU"
    parser.add_argument("--jobs", metavar="N", type=whole(1), help=jobs)
    budget = "start no run after so long, such as 30m or 1h30m, and say what is missing"
    parser.add_argument("--budget", metavar="TIME", type=seconds, help=budget)
    part = "make the runs of one machine in several, such as 1/2 here and 2/2 there; then copy the run folders together"
    parser.add_argument("--part", metavar="I/N", type=part_of, help=part)
    parser.add_argument("--dry-run", action="store_true", help="list the runs and the time they will take")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    add_json(parser)


def report_arguments(parser: argparse.ArgumentParser) -> None:
    paths = "folders of runs, whose curves are laid over each other, or the folder of one comparison"
    parser.add_argument("paths", metavar="RUN|COMPARISON", nargs="+", type=named, help=paths)
    out = "write the page to this file rather than to report.html in the folder"
    parser.add_argument("--out", metavar="FILE", type=named, help=out)
    parser.add_argument("--figures", metavar="DIR", type=named, help="also write each chart as SVG and PNG into DIR")
    add_json(parser)


def scaling_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="fit", choices=("fit",), help="fit laws to the results of finished runs")
    rows = "a .jsonl, .json or .csv file of rows with arm, data, loss and perhaps size (of the model, say, or rank)"
    parser.add_argument("results", metavar="RESULTS", type=named, help=rows)
    reference = "the arm that the others are compared with; default: one called full"
    parser.add_argument("--reference", metavar="ARM", type=named, help=reference)
    residual = "what is fitted: losses (default), or their logarithms"
    parser.add_argument("--residual", choices=("loss", "log_loss"), default="loss", help=residual)
    parser.add_argument("--draws", metavar="N", type=whole(0), help="bootstrap fits for the intervals; default: 200")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="seed of the bootstrap")
    parser.add_argument("--plot", metavar="FILE", type=named, help="draw losses and laws into this .svg, .png or .pdf")
    add_json(parser)


def findings_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="measure these findings, such as INV-0; none lists them all"
    )
    parser.add_argument("--tier", type=whole(0), choices=(0, 1, 2), help="all of a tier; 0 is exact and quick")
    parser.add_argument("--status", action="store_true", help="show results instead of measuring")
    out = "folder of the results (default: runs/findings)"
    parser.add_argument("--out", metavar="DIR", type=named, default="runs/findings", help=out)
    parser.add_argument("--strict", action="store_true", help="leave with status 1 if a finding is not reproduced")
    add_json(parser)
