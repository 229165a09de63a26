"""Rewards that are checked rather than learned: 1 for the right answer, 0 otherwise."""

from rltk_eval.answers import Grade, grade_number

from rltk.data.problems import Problem


def grade(problem: Problem, completion: str) -> Grade:
    """The verdict of the reader that evaluation uses too."""
    return grade_number(completion, problem.answer)


def reward(verdict: Grade) -> float:
    return 1.0 if verdict.correct else 0.0
