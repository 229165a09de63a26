"""Calls a function of the user's own and takes nothing from it that is not a number a completion, or None."""

import asyncio
import math
import sys
import weakref
from collections.abc import Coroutine, Sequence
from contextlib import redirect_stdout
from numbers import Real
from typing import Any

from rltk.data.problems import Problem
from rltk.errors import OwnRewardError
from rltk.rewards.blame import Blaming
from rltk.rewards.own import ALL, Own


class OwnScorer:
    """Its event loop is the same at every step, so that what the user's code keeps, such as a session, stays good."""

    def __init__(self, own: Own) -> None:
        self.own, self.loop = own, asyncio.new_event_loop() if own.is_async else None
        if self.loop is not None:
            weakref.finalize(self, self.loop.close)

    def __call__(self, problems: Sequence[Problem], completions: Sequence[str]) -> list[float | None]:
        """In order; what it prints goes to stderr, because stdout may be read by a program."""
        with redirect_stdout(sys.stderr):
            values = self.values(problems, completions)
        return [self.number(row, value, problems) for row, value in enumerate(values)]

    def values(self, problems: Sequence[Problem], completions: Sequence[str]) -> Sequence[object]:
        if self.own.parameters == ALL:
            return self.at_once(problems, completions)
        if self.loop is not None:
            return self.loop.run_until_complete(self.side_by_side(problems, completions))
        found: list[object] = []
        for row, (problem, completion) in enumerate(zip(problems, completions, strict=True)):
            with self.blaming(place(row, problems)):
                found.append(self.own.function(problem=problem, completion=completion))
        return found

    def at_once(self, problems: Sequence[Problem], completions: Sequence[str]) -> Sequence[object]:
        given = f"{len(problems)} completions, the first of problem {problems[0].id}"
        with self.blaming(given):
            values = self.own.function(problems=list(problems), completions=list(completions))
            if self.loop is not None:
                values = self.loop.run_until_complete(values)
        if not isinstance(values, (list, tuple)):
            raise OwnRewardError(f"{self.own.called} gave {kind(values)} where a list of numbers was expected.")
        if len(values) != len(completions):
            raise OwnRewardError(f"{self.own.called} gave {len(values)} values for {given}.")
        return values

    async def side_by_side(self, problems: Sequence[Problem], completions: Sequence[str]) -> Sequence[object]:
        free = asyncio.Semaphore(self.own.in_flight)

        async def one(row: int, problem: Problem, completion: str) -> object:
            async with free:
                with self.blaming(place(row, problems)):
                    return await self.own.function(problem=problem, completion=completion)

        pairs = zip(problems, completions, strict=True)
        return await all_or_none([one(row, problem, completion) for row, (problem, completion) in enumerate(pairs)])

    def blaming(self, where: str) -> Blaming:
        return Blaming(f"rewards.{self.own.name}", self.own.path, where)

    def number(self, row: int, value: object, problems: Sequence[Problem]) -> float | None:
        if value is None:
            return None
        where = place(row, problems)
        if not isinstance(value, Real):
            raise OwnRewardError(f"{self.own.called} gave {kind(value)} where a number was expected at {where}.")
        if not math.isfinite(value):
            raise OwnRewardError(f"{self.own.called} gave {value} at {where}; let it give None for what has no reward.")
        return float(value)


async def all_or_none(running: Sequence[Coroutine[Any, Any, object]]) -> Sequence[object]:
    """The first to fail ends the others."""
    tasks = [asyncio.ensure_future(one) for one in running]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def place(row: int, problems: Sequence[Problem]) -> str:
    return f"completion {row + 1} of {len(problems)}, of problem {problems[row].id}"


def kind(value: object) -> str:
    """Its type, with what makes a number of it where that is known."""
    cure = " (.tolist() makes a list of numbers of it)" if hasattr(value, "tolist") else ""
    return f"a value of type {type(value).__name__}{cure}"
