"""What is scored and what comes back; imports no torch, so that a client of a scoring server needs none."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

Message: TypeAlias = Mapping[str, str]
Conversation: TypeAlias = "str | Sequence[Message]"
"""Text that is already rendered, or messages with `role` and `content`, the scored reply last."""
Renderer: TypeAlias = Callable[[Sequence[Message]], str]


class Scored(NamedTuple):
    score: float
    tokens: int
    """Length of the whole conversation."""
    is_truncated: bool
    """Whether only its last `max_length` tokens were read."""


def checked_score(score: float, index: int) -> float:
    """The score; ValueError if it is no number."""
    if not math.isfinite(score):
        raise ValueError(f"conversation {index} scored {score}; the model is broken, or its dtype too narrow for it")
    return score


def check_conversation(conversation: object, index: int) -> None:
    """ValueError, naming the index, unless it is text or a list of messages, and not empty."""
    if isinstance(conversation, str):
        check_text(conversation, index)
        if not conversation:
            raise ValueError(f"conversation {index} is empty; leave it out")
        return
    if not isinstance(conversation, Sequence) or isinstance(conversation, bytes):
        raise ValueError(f"conversation {index} is a {type(conversation).__name__}; give text or a list of messages")
    if not conversation:
        raise ValueError(f"conversation {index} is empty; leave it out")
    for number, message in enumerate(conversation):
        _check_message(message, number, index)


def check_text(text: str, index: int) -> None:
    """ValueError for half of a surrogate pair, which JSON can write and tokenizers cannot read."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"conversation {index} holds half of a surrogate pair, which is no text") from error


def _check_message(message: object, number: int, index: int) -> None:
    fields = [message.get(key) for key in ("role", "content")] if isinstance(message, Mapping) else [None]
    if not all(isinstance(field, str) for field in fields) or not fields[0]:
        raise ValueError(f"message {number} of conversation {index} needs a role and a content, both text")
    for field in fields:
        check_text(str(field), index)
