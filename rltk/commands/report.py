"""`rltk report`: a page that shows a run, several runs over each other, or a comparison.

What the run folders of a comparison say is computed anew from nothing but these folders.
"""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from rltk.commands.compare import concluded, show
from rltk.compare.plan import PLAN, Comparison, read_plan
from rltk.errors import UserError, tell
from rltk.report.figures import write_figures
from rltk.report.page import report_comparison, report_run, report_runs
from rltk.report.read import is_comparison


def report(args: Namespace) -> None:
    paths = [Path(path) for path in args.paths]
    if args.figures is not None and os.path.exists(args.figures) and not os.path.isdir(args.figures):
        raise UserError(f"--figures {args.figures} is a file; name a folder, which need not be there yet.")
    planned = [path for path in paths if (path / PLAN).is_file()]
    found = said(read_plan(paths[0]), args) if planned == paths and len(paths) == 1 else {}
    page = make_page(paths, None if args.out is None else Path(args.out))
    figures = write_figures(paths, Path(args.figures)) if args.figures else []
    if args.json:
        print(json.dumps({**found, "report": str(page), "figures": [str(path) for path in figures]}))
    elif planned:  # stdout has what the comparison says
        tell(f"look at it: {page}")
    else:
        print(page)


def said(comparison: Comparison, args: Namespace) -> dict[str, Any]:
    """What a comparison comes to, which a person sees now and a program with the rest; its page shows the same."""
    if args.json:
        return concluded(comparison)
    show(comparison, is_json=False)
    return {}


def make_page(paths: list[Path], out: Path | None) -> Path:
    if out is not None and out.is_dir():
        raise UserError(f"--out {out} is a folder; name a file, such as {out / 'report.html'}.")
    if len(paths) == 1:
        make = report_comparison if is_comparison(paths[0]) else report_run
        return make(paths[0], out)
    comparisons = [path for path in paths if is_comparison(path) or (path / PLAN).is_file()]
    if comparisons:
        raise UserError(f"{comparisons[0]} is a comparison, which has a page of its own; name it alone.")
    if out is None:
        raise UserError("a page of several runs belongs into none of their folders; add --out FILE.")
    return report_runs(paths, out)
