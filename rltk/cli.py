"""The command line: one function a command, imported when it is called, so that `rltk --help` needs nothing heavy."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from rltk import __version__
from rltk.arguments.common import add_json
from rltk.arguments.comparison import compare_arguments, findings_arguments, report_arguments, scaling_arguments
from rltk.arguments.evaluation import audit_arguments, evaluate_arguments, sample_arguments
from rltk.arguments.serving import chat_arguments, serve_arguments, serve_reward_arguments
from rltk.arguments.tools import (
    check_arguments,
    completion_arguments,
    doctor_arguments,
    plan_arguments,
    recipes_arguments,
)
from rltk.arguments.training import (
    export_arguments,
    launch_arguments,
    runs_arguments,
    train_arguments,
    watch_arguments,
)
from rltk.errors import INTERRUPTED, UserError, suggestion

USER_ERROR, BROKEN_PIPE = 2, 141  # the latter 128 + the signal, as a shell has it
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    keep_output_clean()
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
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f"{error.filename} cannot be written" if error.filename else "something could not be written"
        print(f"rltk: {where} ({error.strerror}); make room, then start again.", file=sys.stderr)
        return USER_ERROR


def keep_output_clean() -> None:
    """Accelerate imports DeepSpeed where it is installed, and that logs to the standard output, where answers go."""
    logging.getLogger("DeepSpeed").addFilter(only_errors)


def only_errors(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


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


def train(args: argparse.Namespace) -> int | None:
    from rltk.commands.train import train

    return train(args)


def launch(args: argparse.Namespace) -> int | None:
    from rltk.commands.launch import launch

    return launch(args)


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
    "launch": Command("show what starts a run in several processes, or start it", launch_arguments, launch),
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
    "scaling": Command(
        "make runs at several data and model sizes, fit scaling laws, and find where arms cross",
        scaling_arguments,
        scaling,
    ),
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
