"""`rltk sample`: a policy's own completions on a problem set, graded, or the pairs that they make."""

import json
import shutil
import sys
from argparse import Namespace

from rltk.commands.watched import watched
from rltk.errors import INTERRUPTED
from rltk.evaluation.blocks import fill
from rltk.evaluation.folder import command_again
from rltk.evaluation.items import Items
from rltk.evaluation.sampling import Drawn, Plan, asked, make_plan, pair_up
from rltk.run.atomic import write_json, write_jsonl
from rltk.run.lock import locked


def sample(args: Namespace) -> int:
    plan = make_plan(args)
    with locked(plan.parts, is_new=False):
        try:
            drawn = draw(plan, is_quiet=args.json or args.quiet)
        except KeyboardInterrupt:
            return interrupted(plan, args)
        finish(plan, drawn, args)
    shutil.rmtree(plan.parts)
    return 0


def draw(plan: Plan, *, is_quiet: bool) -> Drawn:
    with watched(is_quiet=is_quiet) as watch:
        from rltk.evaluation.measure import make_evaluator, refuse_long
        from rltk.models.load import load_tokenizer

        tokenizer = load_tokenizer(plan.target.model)
        refuse_long(plan.target, tokenizer, [plan.task])
        evaluator = make_evaluator(plan.target, tokenizer)
        write_json(plan.parts / "settings.json", plan.settings)  # only now, so that what is refused leaves nothing
        items = Items(plan.items)
        fill(
            items,
            plan.blocks(),
            plan.task.name,
            lambda block: evaluator.complete(plan.task, block),
            lambda done, total: watch.evaluating(f"{plan.task.name} sampled", done, total),
        )
    return Drawn(items.rows, asked(plan.task))


def finish(plan: Plan, drawn: Drawn, args: Namespace) -> None:
    """Writes the file, and says what is in it."""
    correct = sum(row["correct"] for row in drawn.rows)
    answer = {"out": str(plan.out), "completions": len(drawn.rows), "correct": correct}
    said = (
        f"{len(drawn.rows):,} completions of {len(drawn.prompts):,} problems, {correct / len(drawn.rows):.1%} correct"
    )
    if args.pairs:
        made = pair_up(drawn, args.per_problem, plan.target.seed)
        write_jsonl(plan.out, [pair.to_json() for pair in made.pairs])
        answer |= {"report": made.report._asdict()}
        said += f". {made.report.text}"
    else:
        write_jsonl(plan.out, drawn.to_json())
        said += "."
    print(json.dumps(answer) if args.json else f"{plan.out}: {said}")


def interrupted(plan: Plan, args: Namespace) -> int:
    """Said even where all else is quiet: without it the work so far is lost to who does not know the command."""
    command = command_again("sample", args.argv, plan.parts)
    print(f"interrupted; go on with: {command}", file=sys.stderr)
    if args.json:
        print(json.dumps({"out": str(plan.out), "status": "interrupted", "resume": command}))
    return INTERRUPTED
