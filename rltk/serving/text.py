"""Tokens to text as they come, cut at the first stop string; text to tokens, one thread at a time."""

import threading
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from rltk.errors import UserError

UNFINISHED = "\ufffd"
"""What a decoder writes for bytes that are no whole character yet."""


class Vocabulary:
    """The tokenizer for many threads: encoding changes its state, so it takes turns."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer, self.turn = tokenizer, threading.Lock()
        self.size = len(tokenizer)

    def encode(self, text: str) -> list[int]:
        """As the model is used to text, with its special tokens."""
        with self.turn:
            return list(self.tokenizer.encode(text))

    def chat(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """Tokens of the conversation, up to where the assistant begins to speak."""
        if not self.tokenizer.chat_template:
            raise UserError("the model has no chat template; ask it with /v1/completions")
        with self.turn:
            try:
                text: Any = self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True
                )
            except TemplateError as error:
                raise UserError(f"the model's chat template refuses the messages ({error})") from error
            return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        text: Any = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def token(self, token: int) -> str:
        """One token as it is, special or not."""
        text: Any = self.tokenizer.decode([token])
        return text


class Writing:
    """The text of one completion as it grows."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str]) -> None:
        self.vocabulary, self.stops = vocabulary, stops
        self.tokens: list[int] = []
        self.text = ""
        """All of it, but for what is no whole character yet."""
        self.is_stopped = False
        """At a stop string, which is no part of the text."""
        self._released = 0
        # Tokens from `_seen` on are decoded behind those from `_context` on, whose text is known: how a token is
        # written depends on its neighbours.
        self._context = self._seen = 0

    def add(self, token: int) -> str:
        """What can be shown now: no part of it will be taken back by a stop string."""
        self.tokens.append(token)
        known = self.vocabulary.decode(self.tokens[self._context : self._seen])
        found = self.vocabulary.decode(self.tokens[self._context :])
        if not found.endswith(UNFINISHED):
            self._context, self._seen = self._seen, len(self.tokens)
            self._grow(found[len(known) :])
        return self._release(len(self.text) - (0 if self.is_stopped else self._held()))

    def finish(self) -> str:
        """What is left to show."""
        if not self.is_stopped:
            known = self.vocabulary.decode(self.tokens[self._context : self._seen])
            self._grow(self.vocabulary.decode(self.tokens[self._context :])[len(known) :])
        return self._release(len(self.text))

    def _grow(self, piece: str) -> None:
        longest = max(map(len, self.stops), default=0)
        start = max(0, len(self.text) - longest)
        self.text += piece
        at = min((at for stop in self.stops if (at := self.text.find(stop, start)) >= 0), default=None)
        if at is not None:
            self.text, self.is_stopped = self.text[:at], True

    def _held(self) -> int:
        """How many of the last characters may turn out to begin a stop string."""
        ends = (
            length
            for stop in self.stops
            for length in range(1, min(len(stop), len(self.text) + 1))
            if self.text.endswith(stop[:length])
        )
        return max(ends, default=0)

    def _release(self, end: int) -> str:
        shown = self.text[self._released : end]
        self._released = max(self._released, end)
        return shown
