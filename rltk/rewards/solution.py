"""Rewards for following a worked solution: a share for each of its steps, or words, from the first to where it is left.

Counting from the start keeps a completion from earning by naming whatever might be right; a solution that is as good
but goes another way earns nothing here, so this belongs beside the reward for the answer.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

from rltk_eval.numbers import read_bare

from rltk.data.problems import Problem
from rltk.errors import UserError
from rltk.recipe.schema import Recipe
from rltk.rewards.dense import Mark

By = Literal["steps", "words"]
RESULT = re.compile(r"=\s*(?:<<[^<>]*>>)?\s*\$?\s*(-?\d[\d,]*(?:\.\d+)?)")
"""What an equation comes to, after GSM8K's notes for a calculator or without any: 72 in `48 + 24 = <<48+24=72>>72`."""
WORD = re.compile(r"(\S+)")


def solution_marks(problem: Problem, completion: str, by: By) -> list[Mark]:
    """A share of 1 where the completion has written each result, or word, that the solution has in the same place; none
    from the first that differs on."""
    wanted = [unit for unit, _ in units(problem.solution, by)]
    marks: list[Mark] = []
    for expected, (unit, end) in zip(wanted, units(completion, by), strict=False):
        if unit is None or unit != expected:
            break
        marks.append(Mark(end, 1 / len(wanted)))
    return marks


def refuse_unsolved(recipe: Recipe, problems: Sequence[Problem]) -> None:
    """Where no problem has a solution to follow, every completion would get 0."""
    for name, reward in recipe.rewards.items():
        if reward.type != "solution" or any(any(units(problem.solution, reward.by)) for problem in problems):
            continue
        raise UserError(
            f"rewards.{name} follows the {reward.by} of worked solutions, and none of the {len(problems):,} problems "
            f"of {recipe.data.path} has any in its {recipe.data.answer}; leave that reward out."
        )


def units(text: str, by: By) -> Iterator[tuple[Fraction | str | None, int]]:
    """Steps' results, None where the answer reader makes no number of one, or words; each with where it ends."""
    for found in (RESULT if by == "steps" else WORD).finditer(text):
        yield (found[1] if by == "words" else read_bare(found[1])), found.end(1)
