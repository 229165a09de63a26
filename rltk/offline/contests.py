"""Preference pairs as a reward model reads them: two whole conversations, token by token as its scorer encodes them."""

from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import encode, preference_text
from rltk.data.preferences import Preference
from rltk.data.transcripts import Plain


class Contest(NamedTuple):
    chosen: list[int]
    rejected: list[int]
    margin: float | None
    """By how much the chosen side should win; None where the data has no margins."""
    is_truncated: bool
    """A side was longer; its last tokens are here."""

    @property
    def longest(self) -> int:
        return max(len(self.chosen), len(self.rejected))

    @property
    def width(self) -> int:
        """Tokens that a micro-batch holds for it: both sides are as wide as the longer one."""
        return 2 * self.longest

    @property
    def learned(self) -> int:
        return len(self.chosen) + len(self.rejected)

    def to_row(self) -> dict[str, Any]:
        row = {"chosen_ids": self.chosen, "rejected_ids": self.rejected}
        return row if self.margin is None else row | {"margin": self.margin}


def make_contest(
    pair: Preference, tokenizer: PreTrainedTokenizerBase, *, plain: Plain, has_margins: bool, most: int
) -> Contest:
    """With the last `most` tokens of each side. Where data has margins, a pair without one has to win by nothing."""
    text = preference_text(pair, tokenizer, plain=plain)
    chosen, rejected = (encode(tokenizer, text.prompt + reply) for reply in (text.chosen, text.rejected))
    margin = (pair.margin or 0.0) if has_margins else None
    return Contest(chosen[-most:], rejected[-most:], margin, max(len(chosen), len(rejected)) > most)
