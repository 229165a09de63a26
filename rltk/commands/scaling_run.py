"""`rltk scaling run`: every arm at every data size, on every model, and the losses that `rltk scaling fit` reads."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from rltk.compare.crew import open_crew
from rltk.compare.runner import Runner, Share
from rltk.compare.watch import Board
from rltk.errors import INTERRUPTED, UserError
from rltk.recipe.load import load_recipe
from rltk.run.atomic import write_jsonl
from rltk.run.lock import is_taken
from rltk.scaling.grid import PLAN, RESULTS, Found, Grid, begin, check_grid, default_folder, read_grid, survey
from rltk.scaling.rows import rows


class Made(NamedTuple):
    found: Found
    is_interrupted: bool


def scaling_run(args: argparse.Namespace) -> int:
    grid = find(args)
    begin(grid)
    with Board(grid, is_quiet=args.quiet) as board:
        made = make(grid, board, args)
    results = grid.path / RESULTS
    found = rows(grid, made.found)
    write_jsonl(results, found)
    left = len(made.found.pending)
    if args.json:
        values = {"grid": str(grid.path), "results": str(results), "rows": len(found), "missing": left}
        print(json.dumps(values | {"status": "unfinished" if left else "finished"}))
    elif not left:
        print(f"{len(found)} losses in {results}; fit laws to them with: rltk scaling fit {quote(str(results))}")
    if left:
        again = f"rltk scaling run {quote(str(grid.path))}"
        print(
            f"rltk: not finished: {left} of {len(made.found.runs)} runs are missing; go on with: {again}",
            file=sys.stderr,
        )
    return INTERRUPTED if made.is_interrupted else 0


def find(args: argparse.Namespace) -> Grid:
    """The grid that is meant, with all that can be wrong with it found before anything runs."""
    folder = Path(args.target)
    if (folder / PLAN).is_file():
        if args.overrides or args.out:
            given = args.overrides[0] if args.overrides else f"--out {args.out}"
            raise UserError(f"{given} goes with a recipe; the grid in {folder} goes on as it was asked for.")
        return read_grid(folder)
    loaded = load_recipe(args.target, args.overrides, args.profile or "auto")
    if not args.quiet:
        for note in loaded.notes:
            print(note, file=sys.stderr, flush=True)
    path = Path(args.out) if args.out else default_folder(loaded.recipe)
    if is_taken(path) and not (path / PLAN).is_file():
        raise UserError(f"{path} exists and holds no grid; name another folder with --out.")
    grid = Grid(path, loaded.recipe)
    check_grid(grid)
    return grid


def make(grid: Grid, board: Board, args: argparse.Namespace) -> Made:
    found = survey(grid)
    mine = Share(*(args.part or (1, 1))).of_all(found.pending)
    if not mine or args.budget == 0:
        return Made(found, False)
    deadline = math.inf if args.budget is None else time.monotonic() + args.budget
    board.begin(found)
    with open_crew(args.on, args.jobs, len(mine)) as crew:
        runner = Runner(grid, crew, board, deadline)
        runner.make(mine)
    return Made(survey(grid), runner.interrupts > 0)
