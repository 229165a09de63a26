"""`rltk train`: from a recipe, or an unfinished run, to an evaluated policy in a run folder."""

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rltk.errors import UserError
from rltk.recipe.schema import DPO, GRPO, PPO, RLOO, SFT, RewardModel
from rltk.run.lock import locked
from rltk.run.plan import Plan, new_run, resumed_recipe, resumed_run

if TYPE_CHECKING:
    from rltk.run.session import Work


def train(args: Namespace) -> int:
    plan = make_plan(args)
    if not args.quiet:
        for note in plan.notes:
            print(note, file=sys.stderr, flush=True)
    # Only now: a bad recipe is answered in a fraction of the time that torch takes to import.
    from rltk.models.quiet import quiet_libraries
    from rltk.preflight.look import refuse_unready
    from rltk.run.room import needing_room
    from rltk.run.session import Session

    quiet_libraries()
    if not plan.is_resuming:
        refuse_unready(plan.recipe, plan.path, is_quiet=args.quiet)
    with needing_room(plan.path), locked(plan.path, is_new=not plan.is_resuming):
        return Session(plan, begin, is_quiet=args.quiet, is_json=args.json).run()


def begin(plan: Plan) -> "Work":
    """The kind of training that the recipe's algo names; each imports what it needs, and no more."""
    match plan.recipe.algo:
        case GRPO() | RLOO() | PPO():
            from rltk.onpolicy.session import OnPolicyWork

            return OnPolicyWork(plan)
        case SFT() | DPO():
            from rltk.offline.session import OfflineWork

            return OfflineWork(plan)
        case RewardModel():
            from rltk.offline.reward_session import RewardWork

            return RewardWork(plan)


def make_plan(args: Namespace) -> Plan:
    if args.stop_on_overoptimisation:
        args.overrides = [*args.overrides, "eval.stop_on_overoptimisation=true"]
    if not os.path.isdir(args.recipe):
        start = resumed_recipe if args.resume else new_run
        return start(args.recipe, args.overrides, args.profile, args.run)
    if not args.resume:
        raise UserError(f"{args.recipe} is a folder; add --resume to go on with the run in it, or name a recipe.")
    for option, is_given in (("--run", args.run is not None), ("--profile", args.profile != "auto")):
        if is_given:
            raise UserError(f"{option} goes with a recipe; the run in {args.recipe} goes on as it was started.")
    return resumed_run(Path(args.recipe), args.overrides)
