"""`rltk train`: from a recipe, or an unfinished run, to an evaluated policy in a run folder."""

import os
import sys
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rltk.distributed.place import found
from rltk.errors import UserError
from rltk.recipe.schema import DPO, GRPO, PPO, RLOO, SFT, RewardModel
from rltk.run.lock import locked
from rltk.run.plan import Plan, new_run, resumed_recipe, resumed_run

if TYPE_CHECKING:
    from rltk.run.session import Work


def train(args: Namespace) -> int:
    """Trains here, starts the processes that do, or joins those that a launcher has started."""
    place = found()
    if place is not None:
        from rltk.distributed.join import joined

        return joined(place, lambda: train_together(args))
    plan = make_plan(args)
    hardware = plan.recipe.hardware
    if hardware.size == 1 and not hardware.deepspeed.zero:
        return train_here(plan, args)
    from rltk.distributed.launch import launch, refuse_unfit

    refuse_unfit(hardware)
    return launch(["train", *args.argv], hardware.processes)


def train_together(args: Namespace) -> int:
    """One of several processes' part: the first decides where the run goes, and has the folder to itself."""
    from rltk.distributed import world

    plan = world.of_first(lambda: make_plan(args))
    refuse_other_size(plan, world.size())
    if plan.recipe.hardware.deepspeed.zero:
        from rltk.distributed.library import refuse_absent

        refuse_absent()
    return train_here(plan, args)


def refuse_other_size(plan: Plan, size: int) -> None:
    asked = plan.recipe.hardware.size
    if asked not in (1, size):
        raise UserError(
            f"hardware asks for {asked} processes (processes times nodes), and the launcher has started {size}; make "
            "them equal."
        )


def train_here(plan: Plan, args: Namespace) -> int:
    if not args.quiet:
        for note in plan.notes:
            print(note, file=sys.stderr, flush=True)
    # Only now: a bad recipe is answered in a fraction of the time that torch takes to import.
    from rltk.distributed import world
    from rltk.models.quiet import quiet_libraries
    from rltk.preflight.look import refuse_unready
    from rltk.run.room import needing_room
    from rltk.run.session import Session

    quiet_libraries()
    if not plan.is_resuming:
        world.of_first(lambda: refuse_unready(plan.recipe, plan.path, is_quiet=args.quiet))
    alone = locked(plan.path, is_new=not plan.is_resuming) if world.is_first() else nullcontext()
    with needing_room(plan.path), alone:
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
