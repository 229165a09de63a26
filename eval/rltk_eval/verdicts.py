"""What can become of a completion's answer."""

from enum import Enum
from typing import Literal, NamedTuple

Kind = Literal["number", "math"]
"""What an answer is: one exact number (GSM8K), or any LaTeX answer (MATH)."""


class Verdict(str, Enum):
    """What became of one completion; TIMEOUT: the check ran over its bound of time or memory."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"


class Grade(NamedTuple):
    """A verdict, and the answer that was read ("72", "-3", "3/4"; for math its LaTeX); None if unreadable."""

    verdict: Verdict
    answer: str | None

    @property
    def correct(self) -> bool:
        return self.verdict is Verdict.CORRECT
