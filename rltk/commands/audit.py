"""`rltk audit`: whether the checker is right, over gold solutions, labelled completions, or a run's own."""

import json
from argparse import Namespace
from collections.abc import Sequence

from rltk_eval.audit import EXAMPLES, Judged, by_oddity, count, judge

from rltk.audit.golds import gold_rows
from rltk.audit.items import run_rows
from rltk.audit.labelled import labelled_rows
from rltk.errors import UserError

OPTIONS = {
    "gold": ("split", "config", "kind", "answer", "solution", "data_root"),
    "labelled": ("kind",),
    "run": ("kind", "tasks"),
}
"""Which options have an effect on what; --json and --examples have one on all."""
TITLES = {
    "gold": "{}: gold solutions as completions, each of which must be judged correct",
    "labelled": "{}: verdicts against labels",
    "run": "{}: verdicts against a looser reader; what follows is to be looked at, not an error",
}


def audit(args: Namespace) -> int:
    """0 whatever it finds: what disagrees is the answer, not a failure."""
    refuse_without_effect(args)
    judged = {"gold": judge_golds, "labelled": judge_labelled, "run": judge_run}[args.what](args)
    found = count(judged, examples=EXAMPLES if args.examples is None else args.examples)
    if args.json:
        print(json.dumps(found))
        return 0
    from rltk.audit.tables import show_audit

    odd = {why: len(rows) for why, rows in by_oddity(judged).items()}
    show_audit(TITLES[args.what].format(args.source), found, odd)
    return 0


def refuse_without_effect(args: Namespace) -> None:
    every = {option for options in OPTIONS.values() for option in options}
    for option in sorted(every.difference(OPTIONS[args.what])):
        if getattr(args, option) is not None:
            shown = {"tasks": "task"}.get(option, option.replace("_", "-"))
            of = " and ".join(what for what, options in OPTIONS.items() if option in options)
            raise UserError(f"--{shown} has no effect on `rltk audit {args.what}`, only on {of}; leave it out.")


def judge_golds(args: Namespace) -> Sequence[Judged]:
    reading = {key: value for key in ("config", "answer", "kind") if (value := getattr(args, key)) is not None}
    rows = gold_rows(args.source, splits=args.split, root=args.data_root, solution=args.solution, reading=reading)
    return judge(rows)


def judge_labelled(args: Namespace) -> Sequence[Judged]:
    return judge(labelled_rows(args.source, kind=args.kind or "number"))


def judge_run(args: Namespace) -> Sequence[Judged]:
    return run_rows(args.source, tasks=args.tasks, kind=args.kind)
