"""Rewards that are checked rather than learned: 1 for the right answer, 0 otherwise."""

from collections.abc import Sequence

from rltk_eval.answers import Grade, Verdict
from rltk_eval.grading import grade_by_kind

from rltk.data.problems import Problem


def grade(problems: Sequence[Problem], completions: Sequence[str]) -> list[Grade]:
    """The verdict of the reader that evaluation uses too on each completion of the problem in its place.

    All of a step in one call, so that answers which take processes to check are checked side by side.
    """
    golds = [problem.answer for problem in problems]
    return grade_by_kind(completions, golds, [problem.kind for problem in problems])


def reward(verdict: Grade) -> float:
    return 1.0 if verdict.correct else 0.0


def unusable(verdicts: Sequence[Grade]) -> dict[str, float]:
    """For `metrics.jsonl`: which share of the completions could not be read, and which not be checked in time."""
    found = [verdict.verdict for verdict in verdicts]
    return {verdict.value: found.count(verdict) / len(found) for verdict in (Verdict.UNREADABLE, Verdict.TIMEOUT)}
