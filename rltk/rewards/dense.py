"""Rewards within a completion: several, each due at its own token, where one number for all of it would say less."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from rltk.rollout.sampler import Rollout


class Mark(NamedTuple):
    """A reward for a piece of text."""

    end: int
    """Characters of the completion up to its end, 1 or more."""
    reward: float


class Due(NamedTuple):
    """A reward for a token."""

    token: int
    """Of the completion, counted from 0."""
    reward: float


Dense = tuple[Due, ...]
"""In the order of their tokens."""
Score = float | Dense | None
"""None where a completion could not be judged."""


def amount(score: Score) -> float | None:
    """What it adds up to."""
    return sum((due.reward for due in score), 0.0) if isinstance(score, tuple) else score


def weighted(score: Score, weight: float, length: int) -> Dense:
    """What is due at which of `length` tokens; a number is due at the last one."""
    if score is None or not length:
        return ()
    within = score if isinstance(score, tuple) else (Due(length - 1, score),)
    return tuple(Due(due.token, weight * due.reward) for due in within)


class Places:
    """Finds the token that wrote a character."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer, self.pieces = tokenizer, dict[int, str]()

    def due(self, rollout: Rollout, text: str, marks: Sequence[Mark]) -> Dense:
        """`text` is the completion without special tokens."""
        ends = self.ends(rollout.tokens_T.tolist(), text) if marks else []
        found = [Due(bisect_left(ends, mark.end), mark.reward) for mark in marks]
        return tuple(sorted(found, key=lambda due: due.token))

    def ends(self, tokens: list[int], text: str) -> list[int]:
        """Characters written after each token: of the tokens one by one, or, where those do not make the text (a
        character of several tokens, a space that only the first word lacks), of one prefix after the other."""
        pieces = [self.piece(token) for token in tokens]
        if "".join(pieces) == text:
            return list(accumulate(map(len, pieces)))
        written = [len(self.decoded(tokens[: count + 1])) for count in range(len(tokens))]
        return [*accumulate(written[:-1], max), len(text)]

    def piece(self, token: int) -> str:
        if token not in self.pieces:
            self.pieces[token] = self.decoded([token])
        return self.pieces[token]

    def decoded(self, tokens: list[int]) -> str:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        assert isinstance(text, str)
        return text
