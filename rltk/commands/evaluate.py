"""`rltk eval`: what a run, an adapter folder, a model folder or a hub model is worth, alone or against another."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from rltk.commands.duel import duel
from rltk.commands.evaluate_pairs import evaluate_pairs
from rltk.commands.evaluate_problems import evaluate_problems
from rltk.errors import INTERRUPTED
from rltk.evaluation.folder import command_again
from rltk.evaluation.pairs.plan import measures_pairs


def evaluate(args: Namespace) -> int:
    """Of what the target is: a reward model scores pairs, policies under a judge meet, any other policy is graded."""
    try:
        if args.judge is not None:
            return duel(args)
        if measures_pairs(args.target):
            return evaluate_pairs(args)
        return evaluate_problems(args)
    except KeyboardInterrupt:
        return interrupted(args)


def interrupted(args: Namespace) -> int:
    """Said even where all else is quiet: without it the work so far is lost to who does not know the command."""
    command = None
    if args.out:
        command = command_again("eval", args.argv, Path(args.out))
        print(f"interrupted; go on with: {command}", file=sys.stderr)
    else:
        print("interrupted; with --out DIR an evaluation can be gone on with", file=sys.stderr)
    if args.json:
        print(json.dumps({"target": args.target, "status": "interrupted", "resume": command}))
    return INTERRUPTED
