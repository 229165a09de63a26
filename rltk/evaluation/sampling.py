"""What `rltk sample` does: one policy, one set of problems, graded completions in one file.

Until all are made they are kept block by block in a folder beside it, `FILE.parts`, as an evaluation keeps its own.
"""

import os
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

from rltk.data.pairs import Sample, SampledPairs, make_pairs
from rltk.data.problems import Problem
from rltk.data.tasks import Task
from rltk.data.transcripts import Message, Messages
from rltk.errors import UserError
from rltk.evaluation.blocks import Block, make_blocks
from rltk.evaluation.folder import check_folder, check_settings, has_begun
from rltk.evaluation.items import Row
from rltk.evaluation.plan import tasks_of, with_options
from rltk.evaluation.settings import Settings, settings_of
from rltk.evaluation.target import Target, find_target

SAMPLED_KEYS = ("answer", "gold", "verdict", "correct", "tokens", "truncated", "level", "subject")
"""What a row says of a completion beside its problem, its prompt and its text."""


class Plan(NamedTuple):
    target: Target
    task: Task
    settings: Settings
    out: Path

    @property
    def parts(self) -> Path:
        return parts_of(self.out)

    @property
    def items(self) -> Path:
        return self.parts / "items" / f"{self.task.name}.jsonl"

    def blocks(self) -> list[Block]:
        options, seed = self.target.eval, self.target.seed
        made = make_blocks(self.task, samples=options.samples, temperature=options.temperature, seed=seed)
        return [block for block in made if block.decoding == "sampled"]


def parts_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.parts")


def make_plan(args: Namespace) -> Plan:
    """Everything that can be mistyped is refused here, before a model loads."""
    out = Path(args.out)
    if out.suffix != ".jsonl":
        raise UserError(f"--out {out}: completions are written as JSON lines; name a file that ends in .jsonl.")
    if os.path.exists(out):
        raise UserError(f"--out {out}: it exists; name another file.")
    if args.resume and not has_begun(parts_of(out)):
        raise UserError(f"--resume: no sampling for {out} has begun; leave it out.")
    check_folder(parts_of(out), is_resuming=args.resume)
    (target,) = with_options([find_target(args.target)], args)
    (tasks,) = tasks_of([target], args)
    if len(tasks) > 1:
        raise UserError(f"{' and '.join(task.name for task in tasks)} would share one file; name one --task a file.")
    plan = Plan(target, tasks[0], settings_of(target, tasks), out)
    check_settings(plan.parts, plan.settings)
    return plan


class Drawn(NamedTuple):
    rows: list[Row]
    """As an evaluation has them: the prompt is the text that was sent."""
    prompts: dict[str, Messages]
    """What each problem asks, by id, before any chat template."""

    def samples(self) -> list[Sample]:
        """Of the completions that end as a reply does."""
        return [
            Sample(row["id"], self.prompts[row["id"]], row["completion"], row["correct"])
            for row in self.rows
            if not row["truncated"]
        ]

    def to_json(self) -> list[Row]:
        return [
            {
                "id": row["id"],
                "sample": row["sample"],
                "prompt": [message._asdict() for message in self.prompts[row["id"]]],
                "completion": row["completion"],
                **{key: row[key] for key in SAMPLED_KEYS},
            }
            for row in self.rows
        ]


def asked(task: Task) -> dict[str, Messages]:
    return {problem.id: messages(task, problem) for problem in task.problems}


def messages(task: Task, problem: Problem) -> Messages:
    question = Message("user", task.data.prompt.replace("{question}", problem.question))
    return (question,) if task.data.system is None else (Message("system", task.data.system), question)


def pair_up(drawn: Drawn, per_problem: int, seed: int) -> SampledPairs:
    made = make_pairs(drawn.samples(), per_problem=per_problem, seed=seed)
    if not made.pairs:
        raise UserError(
            f"there is no pair of a correct and an incorrect completion to write: {made.report.text} Raise --samples, "
            "or take problems that the policy solves now and then."
        )
    return made
