"""What a user can put right: the command line prints the sentence alone and leaves with status 2.

And the status of what Ctrl-C has ended.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence

INTERRUPTED = 130
"""Exit status of what Ctrl-C has ended, as a shell has it: 128 + the signal."""


class UserError(ValueError):
    """Something the user can put right, said in one sentence: what, where, what was given, what to do."""

    is_shared = False
    """Whether all processes of a run know of it, so that the first of them says it."""


class RecipeError(UserError):
    """A recipe that cannot run: one sentence a fault, one line each."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


def tell(sentence: str) -> None:
    """Says what the user should know and need not act on."""
    print(f"rltk: {sentence}", file=sys.stderr)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` is most likely a slip of, if any is near."""
    matches = difflib.get_close_matches(word, list(choices), n=1)
    return matches[0] if matches else None


def suggestion(word: str, choices: Sequence[str], *, otherwise: str) -> str:
    """The end of a sentence about a wrong word: the nearest choice, or else all of them."""
    match = nearest(word, choices)
    return f"did you mean {match}?" if match else f"{otherwise} {', '.join(choices)}."


class GoneError(UserError):
    """What a step needs from elsewhere cannot be had now; what was learned so far is not touched by that."""

    once = "Once it is back"


class RewardGoneError(GoneError):
    """A reward."""


class SamplerGoneError(GoneError):
    """Completions."""


class OwnRewardError(RewardGoneError):
    """The user's own reward function failed, or gave what is no reward."""

    once = "Once it is put right"
