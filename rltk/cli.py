"""The command line: one function a command, imported when it is called, so that `rltk --help` needs nothing heavy."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from rltk import __version__
from rltk.errors import UserError, suggestion

USER_ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # 128 + the signal, as a shell has it


class Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`.")


class Command(NamedTuple):
    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 for what the user can put right, 130 when interrupted."""
    try:
        status = dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"rltk: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; Python flushes once more as it leaves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def dispatch(argv: list[str]) -> int:
    if not argv or argv[0].startswith("-"):
        return without_command(argv)
    name, *rest = argv
    if name not in COMMANDS:
        raise UserError(f"there is no command {name}; {suggestion(name, list(COMMANDS), otherwise='choose one of')}")
    return COMMANDS[name].run(parse(name, rest)) or 0


def without_command(argv: list[str]) -> int:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {command.about}" for name, command in COMMANDS.items())
    parser = Parser(
        prog="rltk",
        usage="rltk COMMAND ...",
        description="Reinforcement learning of language models with LoRA and with full fine-tuning, from one recipe.",
        epilog=f"commands:\n{listed}\n\n`rltk COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rltk {__version__}")
    parser.parse_args(argv)
    parser.print_help()
    return USER_ERROR


def parse(name: str, argv: list[str]) -> argparse.Namespace:
    """Arguments of a command; key=value and options may come in any order."""
    parser = command_parser(name)
    args, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        options = re.findall(r"--[a-z-]+", parser.format_usage())
        ending = suggestion(unknown[0], options, otherwise="it has")
        raise UserError(f"rltk {name} has no option {unknown[0]}; {ending}")
    args.argv = argv  # as typed, for a command that is to be repeated
    return args


def command_parser(name: str) -> Parser:
    about, add_arguments, _ = COMMANDS[name]
    parser = Parser(prog=f"rltk {name}", description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)
    add_arguments(parser)
    return parser


def add_recipe(parser: argparse.ArgumentParser, metavar: str = "RECIPE", also: str = "") -> None:
    parser.add_argument("recipe", metavar=metavar, help=f"a recipe file, or a name that `rltk recipes` lists{also}")
    parser.add_argument("overrides", metavar="key=value", nargs="*", default=[], help="such as optim.lr=1e-5")
    profiles = "lay this profile of the recipe over it; auto (default): laptop where no accelerator is visible; none"
    parser.add_argument("--profile", metavar="NAME", default="auto", help=profiles)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def train_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|RUN", also="; with --resume also the folder of a run")
    parser.add_argument(
        "--run", metavar="DIR", type=named, help="keep the run in this folder rather than a new one in run.dir"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    watch = "end when the held-out gold reward turns down (short for eval.stop_on_overoptimisation=true)"
    parser.add_argument("--stop-on-overoptimisation", action="store_true", help=watch)
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    add_json(parser)


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
    add_json(parser)


def add_sampling_arguments(parser: argparse.ArgumentParser, *, fewest: int) -> None:
    parser.add_argument("--samples", metavar="N", type=whole(fewest), help="sampled completions a problem")
    parser.add_argument("--temperature", metavar="X", type=positive, help="softmax temperature of the samples")
    parser.add_argument("--max-new-tokens", metavar="N", type=whole(1), help="length at which a completion is cut off")
    parser.add_argument("--batch", metavar="N", type=whole(1), help="completions at once")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="seed of the samples")


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


def report_arguments(parser: argparse.ArgumentParser) -> None:
    paths = "folders of runs, whose curves are laid over each other, or the folder of one comparison"
    parser.add_argument("paths", metavar="RUN|COMPARISON", nargs="+", type=named, help=paths)
    out = "write the page to this file rather than to report.html in the folder"
    parser.add_argument("--out", metavar="FILE", type=named, help=out)
    parser.add_argument("--figures", metavar="DIR", type=named, help="also write each chart as an SVG file into DIR")
    add_json(parser)


def runs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", nargs="?", default="runs", type=named, help="default: runs")
    keys = ("started", "name", "algo", "arm", "status", "steps", "before", "after")
    parser.add_argument("--sort", metavar="KEY", choices=keys, default="started", help=f"by {', '.join(keys)}")
    for key, what in (("name", "recipe"), ("algo", "algorithm"), ("arm", "arm, such as lora-8 or full")):
        parser.add_argument(f"--{key}", metavar=key.upper(), type=named, help=f"only runs of this {what}")
    states = ("running", "stopped", "interrupted", "failed", "finished")
    parser.add_argument("--status", choices=states, help="only runs that are in this state")
    add_json(parser)


def watch_arguments(parser: argparse.ArgumentParser) -> None:
    paths = "folders of runs, or folders that hold some; default: runs"
    parser.add_argument("paths", metavar="RUN|DIR", nargs="*", type=named, help=paths)
    parser.add_argument("--once", action="store_true", help="show what there is now, and leave")
    parser.add_argument(
        "--every", metavar="SECONDS", type=positive, default=2.0, help="look again so often; default: 2"
    )


def doctor_arguments(parser: argparse.ArgumentParser) -> None:
    torch = "also import torch, which takes seconds, and try what it can do"
    parser.add_argument("--torch", action="store_true", help=torch)
    add_json(parser)


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="for this shell")


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    parser.add_argument("--gpus", metavar="N", type=whole(1), help="GPUs that share the step; default: 1")
    stage = "ZeRO stage: 1 spreads the optimizer's state over the GPUs, 2 the gradients too, 3 the weights too"
    parser.add_argument("--zero", metavar="STAGE", type=int, choices=(0, 1, 2, 3), help=stage)
    parser.add_argument("--offload", action="store_true", help="with --zero: what is spread lies in the host's memory")
    where = "plan memory for this; default: what the recipe would run on here, GPUs with --profile none"
    parser.add_argument("--on", choices=("cpu", "gpu"), help=where)
    parser.add_argument("--prompt-tokens", metavar="N", type=whole(1), help="tokens of a prompt; default: 128")
    completion = "tokens of a completion; default: the recipe's limit"
    parser.add_argument("--completion-tokens", metavar="N", type=whole(1), help=completion)
    parser.add_argument("--price", metavar="DOLLARS", type=positive, help="what a GPU costs an hour")
    parser.add_argument("--measure", action="store_true", help="time a small part of the step on this machine, seconds")
    add_json(parser)


def scaling_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="fit", choices=("fit",), help="fit laws to the results of finished runs")
    rows = "a .jsonl, .json or .csv file of rows with arm, data, loss and perhaps size (of the model, say, or rank)"
    parser.add_argument("results", metavar="RESULTS", type=named, help=rows)
    reference = "the arm that the others are compared with; default: one called full"
    parser.add_argument("--reference", metavar="ARM", type=named, help=reference)
    residual = "what is fitted: losses (default), or their logarithms"
    parser.add_argument("--residual", choices=("loss", "log_loss"), default="loss", help=residual)
    parser.add_argument("--draws", metavar="N", type=whole(0), help="bootstrap fits for the intervals; default: 200")
    parser.add_argument("--seed", metavar="N", type=whole(0), help="seed of the bootstrap")
    parser.add_argument("--plot", metavar="FILE", type=named, help="draw losses and laws into this .svg, .png or .pdf")
    add_json(parser)


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser, "RECIPE|FOLDER", also="; or the folder of a comparison, which goes on as it was begun")
    out = "keep the comparison in this folder rather than in <run.dir>/compare/<name>"
    parser.add_argument("--out", metavar="DIR", type=named, help=out)
    jobs = "runs at a time; default: one, or one a GPU"
    parser.add_argument("--jobs", metavar="N", type=whole(1), help=jobs)
    budget = "start no run after so long, such as 30m or 1h30m, and say what is missing"
    parser.add_argument("--budget", metavar="TIME", type=seconds, help=budget)
    part = "make the runs of one machine in several, such as 1/2 here and 2/2 there; then copy the run folders together"
    parser.add_argument("--part", metavar="I/N", type=part_of, help=part)
    parser.add_argument("--dry-run", action="store_true", help="list the runs and the time they will take")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    add_json(parser)


def serve_reward_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="RUN", type=named, help="a run that trained a reward model, or a folder of one"
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="any but this machine's own needs a token"
    )
    parser.add_argument("--port", metavar="N", type=whole(0), default=8100, help="0 for any free one; default: 8100")
    token = "clients must send what this file holds: Authorization: Bearer ..."
    parser.add_argument("--token-file", metavar="FILE", type=named, help=token)
    parser.add_argument("--base", metavar="MODEL", type=named, help="base of an adapter, if not the one it names")
    parser.add_argument(
        "--device", metavar="NAME", type=named, help="such as cuda:1; default: a GPU where there is one"
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="default: float32")
    length = "tokens of a conversation that are read, the last ones; default: the model's context"
    parser.add_argument("--max-length", metavar="N", type=whole(1), help=length)
    batch = "rows times longest row of a batch; default: 16384"
    parser.add_argument("--batch-tokens", metavar="N", type=whole(1), default=16_384, help=batch)


def check_arguments(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    data = (
        "look at the data too: rows as training sees them, answers, lengths, repeats, chat template, room on the disk"
    )
    parser.add_argument("--data", action="store_true", help=data)
    add_json(parser)


def export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=named, help="the folder of a finished run")
    parser.add_argument("out", metavar="OUT", type=named, help="a new folder")
    parser.add_argument("--merge", action="store_true", help="add the adapter to its base: a model of its own")
    dtype = "of a merged or whole model; default: float32, as it was trained"
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help=dtype)
    parser.add_argument("--push", metavar="REPO", type=named, help="put it on the Hugging Face hub too, privately")
    parser.add_argument(
        "--public", action="store_true", help="with --push: for everyone to see, if the repository is new"
    )
    add_json(parser)


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    runs = "runs, adapter or model folders or hub ids that share one base; NAME=RUN to choose the name it is asked by"
    parser.add_argument("runs", metavar="RUN", nargs="+", type=named, help=runs)
    host = "default: 127.0.0.1; any that other machines can reach needs a token"
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", type=named, help=host)
    parser.add_argument("--port", metavar="N", default=8000, type=whole(0), help="default: 8000; 0 for any free one")
    token = "clients must send its content, as their API key"
    parser.add_argument("--token-file", metavar="FILE", type=named, help=token)
    parser.add_argument("--batch", metavar="N", type=whole(1), help="completions decoded at once")
    dtype = "type of the arithmetic; default: that of the run"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=dtype)
    parser.add_argument("--seconds", metavar="X", type=positive, help="the most that one answer may take")


def chat_arguments(parser: argparse.ArgumentParser) -> None:
    target = "the folder of a run, an adapter or a model, or a hub id"
    parser.add_argument("run", metavar="RUN", type=named, help=target)
    against = "answer beside it; what RUN may be, or base for what the run began with"
    parser.add_argument("--against", metavar="OTHER", type=named, help=against)
    temperature = "softmax temperature; default: 0, which is greedy"
    parser.add_argument("--temperature", metavar="X", type=positive, default=0.0, help=temperature)
    parser.add_argument("--max-new-tokens", metavar="N", type=whole(1), help="length at which an answer is cut off")
    parser.add_argument("--seed", metavar="N", type=whole(0), default=0, help="seed of the samples")
    dtype = "type of the arithmetic; default: that of the run"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=dtype)


def recipes_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this recipe")
    add_json(parser)


def findings_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="measure these findings, such as INV-0; none lists them all"
    )
    parser.add_argument("--tier", type=whole(0), choices=(0, 1, 2), help="all of a tier; 0 is exact and quick")
    parser.add_argument("--status", action="store_true", help="show results instead of measuring")
    out = "folder of the results (default: runs/findings)"
    parser.add_argument("--out", metavar="DIR", type=named, default="runs/findings", help=out)
    parser.add_argument("--strict", action="store_true", help="leave with status 1 if a finding is not reproduced")
    add_json(parser)


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} must be a whole number of at least {least}")
        return int(text)

    return read


def named(text: str) -> str:
    """Not empty, as the value of a shell's variable that was never set is."""
    if not text:
        raise argparse.ArgumentTypeError("an empty text names nothing")
    return text


def seconds(text: str) -> float:
    """Seconds in `90s`, `30m` or `1h30m`."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or match is None:
        raise argparse.ArgumentTypeError(f"{text} must be a time such as 90s, 30m or 1h30m")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60 * minutes + rest


def part_of(text: str) -> tuple[int, int]:
    """The I-th of N parts."""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text} must be a part such as 1/2 or 2/2")
    return int(match[1]), int(match[2])


def limit(text: str) -> int | str:
    return text if text == "all" else whole(1)(text)


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be a number greater than 0")
    return value


def train(args: argparse.Namespace) -> int | None:
    from rltk.commands.train import train

    return train(args)


def evaluate(args: argparse.Namespace) -> int | None:
    from rltk.commands.evaluate import evaluate

    return evaluate(args)


def sample(args: argparse.Namespace) -> int | None:
    from rltk.commands.sample import sample

    return sample(args)


def audit(args: argparse.Namespace) -> int | None:
    from rltk.commands.audit import audit

    return audit(args)


def export(args: argparse.Namespace) -> int | None:
    from rltk.commands.export import export

    return export(args)


def serve(args: argparse.Namespace) -> int | None:
    from rltk.commands.serve import serve

    return serve(args)


def chat(args: argparse.Namespace) -> int | None:
    from rltk.commands.chat import chat

    return chat(args)


def plan(args: argparse.Namespace) -> int | None:
    from rltk.commands.plan import plan

    return plan(args)


def scaling(args: argparse.Namespace) -> int | None:
    from rltk.commands.scaling import scaling

    return scaling(args)


def compare(args: argparse.Namespace) -> int | None:
    from rltk.commands.compare import compare

    return compare(args)


def report(args: argparse.Namespace) -> int | None:
    from rltk.commands.report import report

    return report(args)


def runs(args: argparse.Namespace) -> int | None:
    from rltk.commands.runs import runs

    return runs(args)


def watch(args: argparse.Namespace) -> int | None:
    from rltk.commands.watch import watch

    return watch(args)


def doctor(args: argparse.Namespace) -> int | None:
    from rltk.commands.doctor import doctor

    return doctor(args)


def completion(args: argparse.Namespace) -> int | None:
    from rltk.commands.completion import completion

    return completion(args.shell, {name: command_parser(name) for name in COMMANDS})


def serve_reward(args: argparse.Namespace) -> int | None:
    from rltk.commands.serve_reward import serve_reward

    return serve_reward(args)


def check(args: argparse.Namespace) -> int | None:
    from rltk.commands.check import check

    return check(args)


def findings(args: argparse.Namespace) -> int | None:
    from rltk.commands.findings import findings

    return findings(args)


def recipes(args: argparse.Namespace) -> int | None:
    from rltk.commands.recipes import recipes

    return recipes(args)


def schema(args: argparse.Namespace) -> int | None:
    from rltk.commands.schema import schema

    return schema(args)


COMMANDS = {
    "train": Command("train a policy or a reward model as a recipe says", train_arguments, train),
    "eval": Command("measure a policy or a reward model, alone or against another", evaluate_arguments, evaluate),
    "sample": Command("write a policy's own completions, graded, or pairs of them", sample_arguments, sample),
    "audit": Command(
        "say where the answer checker and labels, golds or a looser reader differ", audit_arguments, audit
    ),
    "report": Command("make a page of runs or of a comparison, to look at", report_arguments, report),
    "runs": Command("list runs", runs_arguments, runs),
    "watch": Command("show how runs go on, live", watch_arguments, watch),
    "export": Command("write what a run trained as others load it: adapter or merged model", export_arguments, export),
    "serve": Command("answer over HTTP as OpenAI's API does, with many adapters on one base", serve_arguments, serve),
    "chat": Command("talk to a run in the terminal, beside another where asked", chat_arguments, chat),
    "plan": Command("say what memory, time and money a recipe would take, and at what risk", plan_arguments, plan),
    "scaling": Command("fit scaling laws to finished runs, and find where arms cross", scaling_arguments, scaling),
    "findings": Command("measure what the literature says of LoRA and full fine-tuning", findings_arguments, findings),
    "compare": Command("say what LoRA costs against full fine-tuning, with evidence", compare_arguments, compare),
    "serve-reward": Command("serve the scores of a reward model over HTTP", serve_reward_arguments, serve_reward),
    "check": Command("say what a recipe would run, or what is wrong with it", check_arguments, check),
    "recipes": Command("list the recipes that come with rltk, or print one", recipes_arguments, recipes),
    "schema": Command("print the JSON Schema of recipes, for editors", add_json, schema),
    "doctor": Command("say what this machine can do and what is missing", doctor_arguments, doctor),
    "completion": Command(
        "print a script by which a shell completes rltk's commands", completion_arguments, completion
    ),
}
