"""Examples as token ids, as TRL's collators take them.

TRL is given ids, never text: its own tokenization adds a second beginning-of-text token after a chat template that
writes one, and cuts where the tokens of prompt and reply merge.
"""

from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from rltk.data.demonstrations import Demonstration
from rltk.data.preference_text import Plain, encode, preference_tokens, prompt_text, reply_text, reply_tokens
from rltk.data.preferences import Preference
from rltk.recipe.schema import Offline, Recipe

IGNORED = -100
"""Label of a token that is not learned."""


class Lesson(NamedTuple):
    """A demonstration."""

    prompt: list[int]
    reply: list[int]

    @property
    def width(self) -> int:
        """Tokens that a micro-batch holds for it."""
        return len(self.prompt) + len(self.reply)

    @property
    def learned(self) -> int:
        return len(self.reply)

    def to_row(self) -> dict[str, Any]:
        return {"input_ids": self.prompt + self.reply, "labels": [IGNORED] * len(self.prompt) + self.reply}


class Pair(NamedTuple):
    """A preference."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def width(self) -> int:
        """Both sides are as wide as the longer one."""
        return 2 * self.longest

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def learned(self) -> int:
        return len(self.chosen) + len(self.rejected)

    def to_row(self) -> dict[str, Any]:
        return {"prompt_ids": self.prompt, "chosen_ids": self.chosen, "rejected_ids": self.rejected}


class Reader:
    """Turns examples into ids in the form that the recipe's data asks for."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, context: int | None) -> None:
        assert isinstance(recipe.algo, Offline)
        self.tokenizer, self.most = tokenizer, min(recipe.algo.max_length, context or recipe.algo.max_length)
        self.plain: Plain = "question" if recipe.data.has_answers else "transcript"

    def lesson(self, shown: Demonstration) -> Lesson:
        prompt = prompt_text(shown.prompt, self.tokenizer, plain=self.plain)
        ids, reply = (
            encode(self.tokenizer, prompt),
            reply_text(shown.prompt, shown.reply, self.tokenizer, plain=self.plain),
        )
        return Lesson(ids, reply_tokens(self.tokenizer, prompt, ids, reply))

    def pair(self, pair: Preference) -> Pair:
        return Pair(*preference_tokens(pair, self.tokenizer, plain=self.plain))

    def misfit(self, shown: Demonstration | Preference) -> str | None:
        """Why it cannot be learned from, as the end of a sentence; None if it can."""
        length = self.pair(shown).longest if isinstance(shown, Preference) else self.lesson(shown).width
        if length <= self.most:
            return None
        return f"has {length} tokens, and algo.max_length, or the model's context, is {self.most}."
