r"""Problems in the form of the MATH data set, generated: the data set `embedded/equations`.

Fractions, equations, intervals, expressions and radicals in LaTeX, at five levels, with a worked solution that ends in
`\boxed{...}`. The answer is in the canonical form of `rltk.embedded.latex`, the only one for its value.

A problem is its kind and its numbers; a stable hash of these decides which split it belongs to, so no two splits share
a problem, whatever the seed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rltk.embedded import equation_numbers as numbers
from rltk.embedded import equation_solving as solving
from rltk.embedded.draw import Draw, known_split, split_of, stable_hash
from rltk.embedded.equation_numbers import Worked


class Kind(NamedTuple):
    subject: str
    """As the MATH data set names its subjects."""
    work: Callable[[Draw], Worked]


KINDS: dict[int, dict[str, Kind]] = {
    1: {
        "reduce": Kind("Prealgebra", numbers.reduce_fraction),
        "like fractions": Kind("Prealgebra", numbers.add_like_fractions),
        "evaluate": Kind("Algebra", solving.evaluate),
        "one step": Kind("Algebra", solving.one_step_equation),
        "one-step interval": Kind("Algebra", solving.one_step_inequality),
    },
    2: {
        "add fractions": Kind("Prealgebra", numbers.add_fractions),
        "two steps": Kind("Algebra", solving.two_step_equation),
        "collect": Kind("Algebra", solving.collect_terms),
        "two-step interval": Kind("Algebra", solving.two_step_inequality),
        "simplify radical": Kind("Prealgebra", numbers.simplify_radical),
    },
    3: {
        "multiply fractions": Kind("Prealgebra", numbers.multiply_fractions),
        "both sides": Kind("Algebra", solving.equation_on_both_sides),
        "expand": Kind("Algebra", solving.expand_simple),
        "double interval": Kind("Algebra", solving.double_inequality),
        "multiply radicals": Kind("Algebra", numbers.multiply_radicals),
    },
    4: {
        "fraction solution": Kind("Algebra", solving.equation_with_fraction),
        "larger root": Kind("Algebra", solving.larger_root),
        "expand product": Kind("Algebra", solving.expand_product),
        "turned interval": Kind("Algebra", solving.turned_inequality),
        "add radicals": Kind("Algebra", numbers.add_radicals),
    },
    5: {
        "multiply out": Kind("Algebra", solving.multiply_out),
        "root with radical": Kind("Intermediate Algebra", solving.larger_root_with_radical),
        "quadratic interval": Kind("Intermediate Algebra", solving.quadratic_inequality),
        "absolute interval": Kind("Intermediate Algebra", solving.absolute_inequality),
        "rationalize": Kind("Intermediate Algebra", numbers.rationalize),
    },
}
LEVELS = tuple(KINDS)
GIVE_UP_AFTER = 20_000
"""Repeated draws in a row after which the distinct problems count as used up."""


@dataclass(frozen=True)
class EquationProblem:
    id: str
    question: str
    steps: tuple[str, ...]
    """Formulas without dollar signs; each is true."""
    answer: str
    level: int
    subject: str
    kind: str
    """What is to be done, such as `add fractions`."""

    @property
    def solution(self) -> str:
        return "\n".join(f"${formula}$" for formula in (*self.steps, rf"\boxed{{{self.answer}}}"))


def equations(split: str, count: int, *, seed: int = 0, levels: Sequence[int] = LEVELS) -> list[EquationProblem]:
    """The first `count` different problems of the stream; a prefix of any longer list."""
    if count < 0:
        raise ValueError(f"count must be 0 or more, got {count}")
    problems: dict[str, EquationProblem] = {}
    draws, repeats = stream(split, seed=seed, levels=levels), 0
    while len(problems) < count:
        problem, known = next(draws), len(problems)
        problems.setdefault(problem.question, problem)
        repeats = repeats + 1 if len(problems) == known else 0
        if repeats == GIVE_UP_AFTER:
            raise ValueError(
                f"count ({count}) is more than the distinct problems of split {split!r} at levels {tuple(levels)}: "
                f"found {known}; ask for fewer, or for more levels"
            )
    return list(problems.values())


def stream(split: str, *, seed: int = 0, levels: Sequence[int] = LEVELS) -> Iterator[EquationProblem]:
    """Problems of one split without end, each level of `levels` equally often; after many, some repeat."""
    if not levels or not set(levels) <= set(LEVELS):
        raise ValueError(f"levels must name one or more of {', '.join(map(str, LEVELS))}, got {tuple(levels)}")
    return _draw_problems(known_split(split), seed, tuple(levels))


def _draw_problems(split: str, seed: int, levels: tuple[int, ...]) -> Iterator[EquationProblem]:
    draw, index = Draw(stable_hash(f"equations/{split}/{seed}/{levels}")), 0
    while True:
        level = draw.one_of(levels)
        name = draw.one_of(list(KINDS[level]))
        subject, work = KINDS[level][name]
        worked = work(draw)
        if split_of(f"{name}|{worked.numbers}") == split:
            yield _problem(f"{split}/{seed}/{index}", worked, level, subject, name)
            index += 1


def _problem(id: str, worked: Worked, level: int, subject: str, kind: str) -> EquationProblem:
    return EquationProblem(id, worked.question, worked.steps, worked.answer, level, subject, kind)
