"""Answers as OpenAI's API has them, whole or in pieces."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rltk.serving.job import Token
from rltk.serving.text import Writing


@dataclass
class Choice:
    """One completion as it grows; `new` is what has not been answered yet."""

    index: int
    prompt: Sequence[int]
    writing: Writing
    ending: str | None = None
    tokens: list[Token] = field(default_factory=list)
    new: list[Token] = field(default_factory=list)
    text: str = ""
    """Not answered yet."""
    offset: int = 0
    """Characters of the tokens that were answered."""

    def add(self, token: Token) -> None:
        self.tokens.append(token)
        self.new.append(token)
        self.text += self.writing.add(token.id)
        if self.writing.is_stopped:
            self.ending = "stop"

    def finish(self, ending: str) -> None:
        self.ending, self.text = ending, self.text + self.writing.finish()

    def take(self) -> tuple[str, list[Token]]:
        """What is new, once."""
        taken = self.text, self.new
        self.text, self.new = "", []
        return taken


class Form(Protocol):
    """The shape of an answer; `Completions` or `Chats`."""

    @property
    def kind(self) -> str: ...

    @property
    def has_logprobs(self) -> bool: ...

    def whole(self, choice: Choice) -> dict[str, Any]: ...

    def first(self, choice: Choice) -> Iterator[dict[str, Any]]: ...

    def piece(self, choice: Choice) -> dict[str, Any]: ...

    def around(self, choices: Sequence[Choice]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Completions:
    word: Callable[[int], str]
    """What a token is called."""
    has_logprobs: bool
    has_ids: bool
    kind: str = "text_completion"

    def whole(self, choice: Choice) -> dict[str, Any]:
        return self.piece(choice)

    def first(self, choice: Choice) -> Iterator[dict[str, Any]]:
        """A text needs no opening."""
        yield from ()

    def piece(self, choice: Choice) -> dict[str, Any]:
        is_first = len(choice.tokens) == len(choice.new)
        text, tokens = choice.take()
        found = {"index": choice.index, "text": text, "finish_reason": choice.ending, "logprobs": None}
        if self.has_logprobs:
            found["logprobs"] = self.logprobs(choice, tokens)
        if self.has_ids:
            found["token_ids"] = [token.id for token in tokens]
            found["prompt_token_ids"] = list(choice.prompt) if is_first else None
        return found

    def logprobs(self, choice: Choice, tokens: Sequence[Token]) -> dict[str, Any]:
        words = [self.word(token.id) for token in tokens]
        offsets = []
        for word in words:
            offsets.append(choice.offset)
            choice.offset += len(word)
        tops = [{self.word(id): logprob for id, logprob in token.top} for token in tokens]
        return {
            "tokens": words,
            "token_logprobs": [token.logprob for token in tokens],
            # Of several tokens that write the same word it is the one that was taken.
            "top_logprobs": [top | {word: token.logprob} for word, token, top in zip(words, tokens, tops, strict=True)],
            "text_offset": offsets,
        }

    def around(self, choices: Sequence[Choice]) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Chats:
    word: Callable[[int], str]
    """What a token is called."""
    has_logprobs: bool
    has_ids: bool
    kind: str = "chat.completion"

    def whole(self, choice: Choice) -> dict[str, Any]:
        text, tokens = choice.take()
        return {
            "index": choice.index,
            "message": {"role": "assistant", "content": text},
            "finish_reason": choice.ending,
            **self.details(tokens),
        }

    def first(self, choice: Choice) -> Iterator[dict[str, Any]]:
        opening = {"role": "assistant", "content": ""}
        yield {"index": choice.index, "delta": opening, "finish_reason": None, "logprobs": None}

    def piece(self, choice: Choice) -> dict[str, Any]:
        text, tokens = choice.take()
        delta = {"content": text} if text else {}
        return {"index": choice.index, "delta": delta, "finish_reason": choice.ending, **self.details(tokens)}

    def details(self, tokens: Sequence[Token]) -> dict[str, Any]:
        found: dict[str, Any] = {"logprobs": None}
        if self.has_logprobs:
            found["logprobs"] = {"content": [self.logprob(token) for token in tokens]}
        if self.has_ids:
            found["token_ids"] = [token.id for token in tokens]
        return found

    def logprob(self, token: Token) -> dict[str, Any]:
        return self.named(token.id, token.logprob) | {"top_logprobs": [self.named(*one) for one in token.top]}

    def named(self, id: int, logprob: float) -> dict[str, Any]:
        word = self.word(id)
        return {"token": word, "logprob": logprob, "bytes": list(word.encode("utf-8"))}

    def around(self, choices: Sequence[Choice]) -> dict[str, Any]:
        return {"prompt_token_ids": list(choices[0].prompt)} if self.has_ids else {}


def usage(choices: Sequence[Choice], n: int) -> dict[str, int]:
    """Each prompt counts once, however often it was continued."""
    prompt = sum(len(choice.prompt) for choice in choices[::n])
    completion = sum(len(choice.tokens) for choice in choices)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
