"""What `rltk eval`, `sample` and `audit` take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rltk.arguments.common import add_json, add_quiet
from rltk.arguments.values import limit, named, positive, whole


def evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    target = (
        "the folder of a run, an adapter or a model, policy or reward model; the hub id of a policy; or an evaluation "
        "made before (folder or items file)"
    )
    parser.add_argument("target", metavar="RUN_OR_MODEL", type=named, help=target)
    against = "compare with this, which may be all that RUN_OR_MODEL may: same items, same sampling streams"
    parser.add_argument("--against", metavar="OTHER", type=named, help=against)
    judge = "score both policies' completions with this reward model, and report how often RUN_OR_MODEL's wins"
    parser.add_argument("--judge", metavar="REWARD_MODEL", type=named, help=judge)
    add_task_arguments(parser)
    part = "read only this folder of a data set of preferences, such as helpful-base of hh-rlhf"
    parser.add_argument("--data-dir", metavar="NAME", type=named, help=part)
    add_sampling_arguments(parser, fewest=0)
    draws = "pass@k and maj@k for these k, of the samples"
    parser.add_argument("--k", metavar="K", nargs="+", type=whole(1), help=draws)
    parser.add_argument("--out", metavar="DIR", type=named, help="write settings, items and scores to this folder")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation that --out holds")
    by = "show accuracy by these too, however many there are"
    parser.add_argument("--by", nargs="+", choices=("level", "subject"), help=by)
    add_quiet(parser)
    add_json(parser)


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    target = "the folder of a run, an adapter or a model, or a hub id"
    parser.add_argument("target", metavar="RUN_OR_MODEL", type=named, help=target)
    add_task_arguments(parser, splits=("train", "validation", "test"))
    add_sampling_arguments(parser, fewest=1)
    parser.add_argument("--out", metavar="FILE.jsonl", type=named, required=True, help="where the completions go")
    pairs = "write pairs of a correct and an incorrect completion, for DPO and reward models, in their place"
    parser.add_argument("--pairs", action="store_true", help=pairs)
    most = "pairs a problem at most, with --pairs; default: 4"
    parser.add_argument("--per-problem", metavar="N", type=whole(1), default=4, help=most)
    parser.add_argument("--resume", action="store_true", help="go on with the sampling that --out names")
    parser.set_defaults(samples=8, split="train", limit="all")
    add_quiet(parser)
    add_json(parser)


def audit_arguments(parser: argparse.ArgumentParser) -> None:
    what = "over what: gold solutions of a data set, labelled completions of a file, or a run's own completions"
    parser.add_argument("what", metavar="gold|labelled|run", choices=("gold", "labelled", "run"), help=what)
    source = (
        "gold: gsm8k, math, math500, word-problems, equations, a hub id, a folder or a file; labelled: a .jsonl file "
        "with the keys completion, gold, correct and perhaps question and kind; run: a run, an evaluation or its items"
    )
    parser.add_argument("source", metavar="SOURCE", type=named, help=source)
    split = "gold: this split, repeatable; default: all"
    parser.add_argument("--split", metavar="NAME", action="append", type=named, help=split)
    parser.add_argument("--config", metavar="NAME", type=named, help="gold: configuration of a hub data set")
    kind = "how answers are read: numbers, or mathematics in LaTeX; labelled: of rows without a kind"
    parser.add_argument("--kind", choices=("number", "math"), help=kind)
    parser.add_argument("--answer", metavar="COLUMN", type=named, help="gold: answer column, for a path or a hub id")
    solution = "gold: column of the worked solution, where it is not that of the answer"
    parser.add_argument("--solution", metavar="COLUMN", type=named, help=solution)
    root = "gold: folder that holds data sets under their hub ids, in place of the hub"
    parser.add_argument("--data-root", metavar="DIR", type=named, help=root)
    parser.add_argument(
        "--task", metavar="T", dest="tasks", action="append", type=named, help="run: only these items; repeatable"
    )
    parser.add_argument("--examples", metavar="N", type=whole(0), help="examples of each kind; default: 10")
    add_json(parser)


def add_task_arguments(parser: argparse.ArgumentParser, splits: Sequence[str] = ("test", "validation")) -> None:
    tasks = (
        "gsm8k, math, math500, word-problems, equations; for reward models and judges hh-rlhf, dialogues; heldout (the "
        "run's data), a file or a folder; repeatable"
    )
    parser.add_argument("--task", metavar="T", dest="tasks", action="append", type=named, help=tasks)
    prompt = "how to ask, such as gsm8k/few-shot@1; default: as the run was trained, or zero-shot for the task"
    parser.add_argument("--prompt", metavar="NAME", type=named, help=prompt)
    root = "folder that holds data sets under their hub ids, such as openai/gsm8k, in place of the hub"
    parser.add_argument("--data-root", metavar="DIR", type=named, help=root)
    for key in ("question", "answer"):
        parser.add_argument(f"--{key}", metavar="COLUMN", type=named, help=f"{key} column of a task given by path")
    kind = "answers of a task given by path: numbers, or mathematics in LaTeX"
    parser.add_argument("--kind", choices=("number", "math"), help=kind)
    parser.add_argument("--split", choices=splits, help="which problems of the task")
    parser.add_argument("--limit", metavar="N", type=limit, help="problems a task, or all")


def add_sampling_arguments(parser: argparse.ArgumentParser, *, fewest: int) -> None:
    parser.add_argument("--samples", metavar="N", type=whole(fewest), help="sampled completions a problem")
    parser.add_argument("--temperature", metavar="X", type=positive, help="softmax temperature of the samples")
    parser.add_argument("--max-new-tokens", metavar="N", type=whole(1), help="length at which a completion is cut off")
    parser.add_argument("--batch", metavar="N", type=whole(1), help="completions at once")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="seed of the samples")
