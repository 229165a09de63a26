"""`rltk report`: what the run folders of a comparison say, computed anew from nothing but these folders."""

from argparse import Namespace
from pathlib import Path

from rltk.commands.compare import show
from rltk.compare.plan import PLAN, read_plan
from rltk.errors import UserError


def report(args: Namespace) -> int:
    path = Path(args.folder)
    if not (path / PLAN).is_file():
        raise UserError(f"{path} is not the folder of a comparison: it has no {PLAN}.")
    show(read_plan(path), is_json=args.json)
    return 0
