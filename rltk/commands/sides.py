"""What every `rltk eval` does around its measuring: one side or two, kept where `--out` says, compared and told."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rltk.evaluation.earlier import Earlier
from rltk.evaluation.items import Row
from rltk.evaluation.pairs.plan import Scoring
from rltk.evaluation.plan import Live
from rltk.evaluation.results import Comparison, Measured, print_json, write_results
from rltk.run.lock import locked

LABELS = {1: ("",), 2: ("A: ", "B: ")}
"""What progress calls the sides, by how many there are."""


class Sided(Protocol):
    @property
    def sides(self) -> Sequence[Live | Scoring | Earlier]: ...

    @property
    def tasks(self) -> list[str]: ...


P = TypeVar("P", bound=Sided)


def conclude(
    args: Namespace,
    plan: P,
    measure: Callable[[P, bool], list[Measured]],
    compare: Callable[[list[Row], list[Row]], dict[str, Any]],
    show: Callable[[P, list[Measured], Comparison | None], None],
) -> int:
    """KeyboardInterrupt passes: the rows so far are kept where `--out` says.

    `measure` is told whether it is quiet, `compare` gets both sides' rows of a task, and `show` tells a person.
    """
    with kept(args):
        measured = measure(plan, args.json or args.quiet)
        comparison = None if len(measured) == 1 else differences(plan.tasks, measured, compare)
        if args.out:
            write_results(Path(args.out), plan.sides, measured, comparison)
    if args.json:
        print_json(args, measured, comparison)
    else:
        show(plan, measured, comparison)
    return 0


def differences(
    tasks: Sequence[str], measured: list[Measured], compare: Callable[[list[Row], list[Row]], dict[str, Any]]
) -> Comparison:
    a, b = measured
    return {task: compare(a.rows[task], b.rows[task]) for task in tasks}


def kept(args: Namespace) -> AbstractContextManager[None]:
    """Within it the folder that `--out` names, if any, is this process's alone."""
    return locked(Path(args.out), is_new=False) if args.out else nullcontext()
