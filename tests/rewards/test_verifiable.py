"""Rewards of a step: each completion against its own problem, numbers and mathematics side by side."""

from rltk_eval.answers import Grade, Verdict

from rltk.data.problems import Problem
from rltk.rewards.verifiable import grade, reward, unusable

NUMBER = Problem("a", "3 and 4?", "7")
MATH = Problem("b", "Twice the root of 5?", r"2\sqrt{5}", kind="math")


def test_each_kind_of_problem_has_its_reader() -> None:
    """A box with a root answers the one; the other wants a number, which a root is not."""
    problems = [MATH, NUMBER, MATH, NUMBER, NUMBER]
    found = grade(problems, [r"\boxed{2\sqrt5}", "#### 7", r"\boxed{}", r"\boxed{2\sqrt5}", "#### 8"])
    verdicts = [verdict.verdict for verdict in found]
    assert verdicts[:2] == [Verdict.CORRECT, Verdict.CORRECT]
    assert verdicts[2:] == [Verdict.UNREADABLE, Verdict.UNREADABLE, Verdict.INCORRECT]
    assert [reward(verdict) for verdict in found] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert grade([], []) == []


def test_what_gave_no_verdict_is_counted() -> None:
    kinds = [Verdict.CORRECT, Verdict.UNREADABLE, Verdict.UNREADABLE, Verdict.TIMEOUT]
    assert unusable([Grade(kind, None) for kind in kinds]) == {"unreadable": 0.5, "timeout": 0.25}
    assert reward(Grade(Verdict.TIMEOUT, "7")) == 0.0
