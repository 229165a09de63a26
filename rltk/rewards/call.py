"""Calls a function of the user's own and takes nothing from it that is no reward: a number a completion, several with
where they are due, or None."""

import asyncio
import math
import sys
import weakref
from collections.abc import Coroutine, Sequence
from contextlib import redirect_stdout
from numbers import Integral, Real
from reprlib import repr as short
from typing import Any

from rltk.data.problems import Problem
from rltk.errors import OwnRewardError
from rltk.rewards.blame import Blaming
from rltk.rewards.dense import Mark
from rltk.rewards.own import ALL, Own

Value = float | list[Mark] | None
"""Of a completion; the marks in the order in which they were given."""


class OwnScorer:
    """Its event loop is the same at every step, so that what the user's code keeps, such as a session, stays good."""

    def __init__(self, own: Own) -> None:
        self.own, self.loop = own, asyncio.new_event_loop() if own.is_async else None
        if self.loop is not None:
            weakref.finalize(self, self.loop.close)

    def __call__(self, problems: Sequence[Problem], completions: Sequence[str]) -> list[Value]:
        """In order; what it prints goes to stderr, because stdout may be read by a program."""
        with redirect_stdout(sys.stderr):
            values = self.values(problems, completions)
        return [
            self.value(value, len(text), place(row, problems))
            for row, (value, text) in enumerate(zip(values, completions, strict=True))
        ]

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

    def value(self, given: object, length: int, where: str) -> Value:
        """Of a completion of so many characters."""
        if given is None:
            return None
        if isinstance(given, (list, tuple)):
            return [self.mark(pair, length, where) for pair in given]
        return self.number(given, where)

    def mark(self, pair: object, length: int, where: str) -> Mark:
        match pair:
            case (Integral() as end, reward) if 1 <= int(end) <= length:
                return Mark(int(end), self.number(reward, where))
            case (Integral() as end, _):
                raise OwnRewardError(
                    f"{self.own.called} gave a reward after {end} characters at {where}, which has {length}; "
                    "from 1 to that was expected."
                )
            case _:
                raise OwnRewardError(
                    f"{self.own.called} gave a list with {short(pair)} in it at {where}; pairs (end, reward) were "
                    "expected, end counting characters."
                )

    def number(self, value: object, where: str) -> float:
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
