"""`rltk chat`: talk to a run in the terminal; with --against the answers of two stand side by side."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rltk.errors import UserError, tell
from rltk.recipe.locate import expanded
from rltk.report.terminal import readable
from rltk.run.folder import run_recipe
from rltk.serving.choose import Served, choose, is_same_base, public_name
from rltk.serving.wire import ApiError, Asked, Limits

if TYPE_CHECKING:
    from rltk.serving.talk import Reply, Side

BASE = "base"
NEW = "/new"
HELP = f"{NEW} begins a new conversation, Ctrl-C stops an answer, Ctrl-D ends"
REFRESHES = 12
"""A second."""


def chat(args: Namespace) -> None:
    names = [args.run] if args.against is None else [args.run, args.against]
    chosen = [choose_side(name, args.run, args.dtype) for name in names]
    # Only now: what is mistyped is answered in a fraction of the time that torch takes to import.
    from rltk.models.quiet import quiet_libraries

    quiet_libraries()
    sides = open_sides(chosen)
    tokens = args.max_new_tokens or chosen[0].rollout.max_new_tokens
    asked = Asked(model=BASE, temperature=args.temperature, seed=args.seed)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        if is_terminal:
            tell(HELP)
        for words in questions(is_terminal=is_terminal):
            exchange(sides, names, words, asked, tokens, is_terminal=is_terminal)
    finally:
        for service in {id(side.service): side.service for side in sides}.values():
            service.scheduler.close()


def choose_side(name: str, run: str, dtype: str | None) -> Served:
    """`base` is what the run began with, unless there is something of that name."""
    if name != BASE or os.path.exists(BASE):
        return choose([name], dtype)
    served = choose([run], dtype)
    return served._replace(adapters={}) if served.adapters else beginning(run, served)


def beginning(run: str, served: Served) -> Served:
    """The model that a run of all weights began with, as its recipe names it, in the place of what it became."""
    if served.data is None:
        raise UserError(f"--against base: {run} is no run, so it began with nothing else; name what to compare with.")
    model = run_recipe(expanded(run)).model
    base = model.model_copy(update={"dtype": served.base.dtype})
    return served._replace(base=base, base_name=public_name(model.path))


def open_sides(chosen: Sequence[Served]) -> "list[Side]":
    """One model in memory for both sides where they share their base; what is no run is asked as the first is."""
    from rltk.serving.open import add_all, open_service
    from rltk.serving.talk import Side, Way

    first, *others = chosen
    service = open_service(first, Limits())
    sides = [Side(service, model_name(first), Way.of(first.data))]
    for other in others:
        way = Way.of(other.data or first.data)
        if not is_same_base(other.base, first.base):
            sides.append(Side(open_service(other, Limits()), model_name(other), way))
            continue
        fresh = {f"{name} (against)": folder for name, folder in other.adapters.items()}
        add_all(service, fresh)
        sides.append(Side(service, next(iter(fresh), first.base_name), way))
    return sides


def model_name(served: Served) -> str:
    return next(iter(served.adapters), served.base_name)


def questions(*, is_terminal: bool) -> Iterator[str]:
    """What the person says, a line each, until there is no more or Ctrl-C."""
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401  # gives input() a history
    while True:
        try:
            line = input("> ") if is_terminal else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if not is_terminal and not line:
            return
        if line.strip():
            yield line.strip()


def exchange(
    sides: "Sequence[Side]", names: Sequence[str], words: str, asked: Asked, tokens: int, *, is_terminal: bool
) -> None:
    from rltk.serving.talk import Reply

    if words == NEW:
        for side in sides:
            side.turns.clear()
        return
    try:
        replies = [Reply(side.ask(words, asked, tokens)) for side in sides]
    except (ApiError, UserError) as error:
        tell(str(error))
        return
    try:
        show(replies, names, is_terminal=is_terminal)
    except KeyboardInterrupt:
        for reply in replies:
            reply.stop()
        tell("stopped; this turn is forgotten")
        return
    for side, reply in zip(sides, replies, strict=True):
        if reply.error:
            tell(reply.error)
        else:
            side.remember(words, reply.text)


def show(replies: "Sequence[Reply]", names: Sequence[str], *, is_terminal: bool) -> None:
    """The answers as they grow on a terminal, side by side if there are two; elsewhere once they are whole."""
    if not is_terminal:
        for reply in replies:
            while not reply.is_over:
                reply.wait()
        labels = [""] if len(replies) == 1 else [f"{name}: " for name in names]
        for label, reply in zip(labels, replies, strict=True):
            print(f"{label}{readable(reply.text)}", flush=True)
    elif len(replies) == 1:
        stream(replies[0])
    else:
        stream_beside(replies, names)


def stream(reply: "Reply") -> None:
    shown = 0
    while True:
        is_over, text = reply.is_over, reply.text
        print(readable(text[shown:]), end="", flush=True)
        shown = len(text)
        if is_over:
            print()
            return
        reply.wait()


def stream_beside(replies: "Sequence[Reply]", names: Sequence[str]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, refresh_per_second=REFRESHES, transient=True) as live:
        while any(not reply.is_over for reply in replies):
            live.update(beside(replies, names))
            for reply in replies:
                reply.wait()
    console.print(beside(replies, names))


def beside(replies: "Sequence[Reply]", names: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True)
    for name in names:
        table.add_column(Text(name), ratio=1)
    table.add_row(*(Text(readable(reply.text)) for reply in replies))
    return table
