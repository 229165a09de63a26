r"""Every problem is solved a second time by sympy, from the question's text alone."""

import re
from collections import Counter
from fractions import Fraction
from hashlib import blake2b
from itertools import islice, pairwise
from typing import Any

import pytest
import sympy
from sympy.parsing.sympy_parser import implicit_multiplication_application, parse_expr, standard_transformations

from rltk.embedded.draw import SPLITS
from rltk.embedded.equations import KINDS, LEVELS, EquationProblem, equations, stream
from tests.growth import grows_in_proportion

DIGESTS = {"train": "a10fc537c2bfb669", "validation": "b49698a27ff9741f", "test": "36cd268fc1bb450d"}
X = sympy.Symbol("x", real=True)
RULES = (*standard_transformations, implicit_multiplication_application)
GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
RELATION = re.compile(r" (<|>|\\le|\\ge|=) ")
HOLDS = {"<": sympy.Lt, ">": sympy.Gt, r"\le": sympy.Le, r"\ge": sympy.Ge, "=": sympy.Eq}
RADICALS = ("simplify radical", "multiply radicals", "add radicals", "rationalize", "root with radical")


@pytest.fixture(scope="module")
def problems() -> list[EquationProblem]:
    return equations("train", 20_000)


@pytest.fixture(scope="module")
def few(problems: list[EquationProblem]) -> list[EquationProblem]:
    """Eight of each kind."""
    kinds = {problem.kind for problem in problems}
    assert len(kinds) == 25
    return [problem for kind in kinds for problem in islice((p for p in problems if p.kind == kind), 8)]


def value(latex: str) -> sympy.Expr:
    text = latex
    while r"\frac" in text or r"\sqrt" in text:
        text = re.sub(rf"\\frac{GROUP}{GROUP}", r"((\1)/(\2))", text)
        text = re.sub(rf"\\sqrt{GROUP}", r"sqrt(\1)", text)
    text = text.replace(r"\cdot", "*").replace(r"\div", "/").replace("^", "**")
    text = re.sub(r"\|(.+)\|", r"Abs(\1)", text)
    text = re.sub(r"(\d)(sqrt|\()", r"\1*\2", text)
    return parse_expr(text, local_dict={"x": X}, transformations=RULES)


def interval(latex: str) -> Any:
    found = re.fullmatch(r"([(\[])(.+), (.+)([)\]])", latex)
    assert found, latex
    ends = [sympy.oo * (-1 if "-" in end else 1) if "infty" in end else value(end) for end in (found[2], found[3])]
    return sympy.Interval(ends[0], ends[1], found[1] == "(", found[4] == ")")


def comparisons(latex: str) -> list[tuple[sympy.Expr, str, sympy.Expr]]:
    """`a < b = c` as [a < b, b = c]."""
    values = [value(side) for side in RELATION.split(latex)[::2]]
    signs = RELATION.findall(latex)
    return [(one, sign, other) for sign, (one, other) in zip(signs, pairwise(values), strict=True)]


def formula(problem: EquationProblem) -> str:
    return max(problem.question.split("$")[1::2], key=len)


def test_answers_are_what_sympy_finds(few: list[EquationProblem]) -> None:
    for problem in few:
        asked, answer = formula(problem), problem.answer
        if "interval" in problem.kind:
            wanted = sympy.Intersection(*(HOLDS[sign](one, other).as_set() for one, sign, other in comparisons(asked)))
            assert interval(answer) == wanted, problem
        elif problem.kind == "evaluate":
            x = problem.question.split("$")[3].removeprefix("x = ")
            assert value(asked).subs(X, int(x)) == int(answer), problem
        elif "=" in asked:
            [(one, _, other)] = comparisons(asked)
            solutions = sympy.solve(one - other, X)
            assert sympy.simplify(max(solutions) - value(answer)) == 0, problem
            assert (len(solutions) == 2) == ("larger" in problem.question)
        else:
            assert sympy.simplify(value(asked) - value(answer)) == 0, problem


def test_every_step_is_true(few: list[EquationProblem]) -> None:
    for problem in few:
        assert problem.steps
        for step in problem.steps:
            if "interval" in problem.kind:
                check_inequality(problem, step)
            elif "or" in step:
                assert step.endswith(f"x = {problem.answer}")
            else:
                check_equation(problem, step)


def check_equation(problem: EquationProblem, step: str) -> None:
    """Both sides are equal: for all x where the answer has an x itself, and else for the x that is the answer."""
    x = X if "x" in problem.answer else value(problem.answer)
    found = comparisons(step)
    assert found, problem
    for one, sign, other in found:
        assert sign == "=" and sympy.simplify((one - other).subs(X, x)) == 0, (problem, step)


def check_inequality(problem: EquationProblem, step: str) -> None:
    """It holds exactly for the x in the answer: tried at its ends, beside them and far away."""
    allowed = interval(problem.answer)
    ends = [end for end in (allowed.start, allowed.end) if end.is_finite]
    for x in [end + shift for end in ends for shift in (0, sympy.Rational(1, 7), -sympy.Rational(1, 7))] + [-999, 999]:
        holds = all(bool(HOLDS[sign](one.subs(X, x), other.subs(X, x))) for one, sign, other in comparisons(step))
        assert holds == bool(allowed.contains(x)), (problem, step, x)


def test_answers_are_in_canonical_form(problems: list[EquationProblem]) -> None:
    canonical = {
        "number": re.compile(r"-?(\d+|\\frac\{\d+\}\{\d+\})"),
        "radical": re.compile(r"(-?\d+ \+ )?(-?\d*\\sqrt\{\d+\}|\\frac\{\d*\\sqrt\{\d+\}\}\{\d+\}|\d+)"),
        "interval": re.compile(
            r"[(\[](-?\d+|-?\\frac\{\d+\}\{\d+\}|-\\infty), (-?\d+|-?\\frac\{\d+\}\{\d+\}|\\infty)[)\]]"
        ),
        "polynomial": re.compile(r"(-?\d*x\^2)?( ?[-+]? ?\d*x)?( [-+] \d+)?"),
    }
    seen = Counter()
    for problem in problems:
        form = "interval" if "interval" in problem.kind else "radical" if problem.kind in RADICALS else None
        form = form or ("polynomial" if "x" in problem.answer else "number")
        assert canonical[form].fullmatch(problem.answer), problem
        for top, bottom in re.findall(r"\\frac\{(\d+)\}\{(\d+)\}", problem.answer):
            assert int(bottom) > 1 and Fraction(int(top), int(bottom)).denominator == int(bottom), problem
        for under in re.findall(r"\\sqrt\{(\d+)\}", problem.answer):
            assert int(under) > 1 and all(int(under) % (k * k) for k in range(2, 40)), problem
        assert not re.search(r"(?<!\d)[01]x|(?<!\d)1\\sqrt|-0", problem.answer), problem
        seen[form] += 1
    assert min(seen.values()) > 1_000 and len(seen) == 4


def test_one_value_has_one_answer(few: list[EquationProblem]) -> None:
    answers: dict[object, set[str]] = {}
    for problem in few:
        key = interval(problem.answer) if "interval" in problem.kind else sympy.expand(value(problem.answer))
        answers.setdefault(key, set()).add(problem.answer)
    assert len(answers) > 100
    assert all(len(written) == 1 for written in answers.values())


def test_the_solution_ends_in_a_box(problems: list[EquationProblem]) -> None:
    for problem in problems[:2_000]:
        *steps, last = problem.solution.split("\n")
        assert last == rf"$\boxed{{{problem.answer}}}$"
        assert steps == [f"${step}$" for step in problem.steps]
    first = next(problem for problem in problems if problem.kind == "reduce")
    assert re.fullmatch(r"Simplify \$\\frac\{\d+\}\{\d+\}\$\.", first.question)


def test_no_answer_can_be_guessed(problems: list[EquationProblem]) -> None:
    """The likeliest answer of a level is right for less than 2 %, and of a single kind for less than 10 %."""
    for groups, share in (("level", 0.02), ("kind", 0.1)):
        for group in {getattr(problem, groups) for problem in problems}:
            answers = Counter(problem.answer for problem in problems if getattr(problem, groups) == group)
            assert answers.most_common(1)[0][1] < share * answers.total(), group


def test_splits_share_no_question_whatever_the_seed() -> None:
    asked = {}
    for split in SPLITS:
        asked[split] = {p.question for seed in (0, 2**40) for p in equations(split, 1_500, seed=seed)}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not asked[one] & asked[other]


def test_levels_and_kinds_are_mixed(problems: list[EquationProblem]) -> None:
    levels = Counter(problem.level for problem in problems)
    assert set(levels) == set(LEVELS) == {1, 2, 3, 4, 5}
    assert min(levels.values()) > 0.8 * max(levels.values())
    kinds = Counter((problem.level, problem.kind, problem.subject) for problem in problems)
    assert kinds.keys() == {(level, name, kind.subject) for level in LEVELS for name, kind in KINDS[level].items()}
    assert min(kinds.values()) > 250


def test_a_call_repeats_no_problem(problems: list[EquationProblem]) -> None:
    assert len({problem.id for problem in problems}) == len({problem.question for problem in problems}) == 20_000


def test_fewer_are_a_prefix_of_more_and_seeds_differ() -> None:
    assert equations("test", 50, seed=3) == equations("test", 100, seed=3)[:50]
    assert equations("test", 0) == []
    first, second = ({p.question for p in equations("test", 200, seed=seed)} for seed in (0, 1))
    assert len(first & second) < 40


def test_levels_can_be_chosen() -> None:
    assert {problem.level for problem in equations("test", 100, levels=(2, 4))} == {2, 4}
    assert {problem.level for problem in islice(stream("test", levels=(5,)), 50)} == {5}


@pytest.mark.parametrize("split", SPLITS)
def test_same_problems_on_every_machine(split: str) -> None:
    told = "\n".join(f"{p.id}\n{p.question}\n{p.solution}" for p in equations(split, 200))
    assert blake2b(told.encode(), digest_size=8).hexdigest() == DIGESTS[split]


def test_wrong_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        stream("dev")
    with pytest.raises(ValueError, match=r"levels must name one or more of 1, 2, 3, 4, 5, got \(6,\)"):
        stream("test", levels=(6,))
    with pytest.raises(ValueError, match="count must be 0 or more, got -1"):
        equations("test", -1)
    monkeypatch.setattr("rltk.embedded.equations.GIVE_UP_AFTER", 100)
    with pytest.raises(
        ValueError, match=r"count \(9000\) is more than the distinct problems of split 'test' at levels"
    ):
        equations("test", 9_000, levels=(1,))


def test_each_costs_as_much_as_the_one_before() -> None:
    assert grows_in_proportion(lambda size: equations("validation", size), 150, 1_500)
