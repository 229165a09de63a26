"""What is scored and what comes back; imports no torch, so that a client of a scoring server needs none."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Message: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class CutOff:
    """Messages whose last reply stops in its middle, as at a limit of length.

    It is scored without the end-of-text token that the chat template writes after a reply: it did not finish.
    """

    messages: Sequence[Message]


Conversation: TypeAlias = "str | Sequence[Message] | CutOff"
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
    """ValueError, naming the index, unless it is text or a list of messages, cut off or not, and not empty."""
    if isinstance(conversation, str):
        check_text(conversation, index)
        if not conversation:
            raise ValueError(f"conversation {index} is empty; leave it out")
    elif isinstance(conversation, CutOff):
        _check_messages(conversation.messages, index, "a list of messages, as text is taken as it stands")
    else:
        _check_messages(conversation, index, "text or a list of messages")


def check_text(text: str, index: int) -> None:
    """ValueError for half of a surrogate pair, which JSON can write and tokenizers cannot read."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"conversation {index} holds half of a surrogate pair, which is no text") from error


def characters(conversation: Conversation) -> int:
    """Of all that it says, and of who says it."""
    if isinstance(conversation, str):
        return len(conversation)
    messages = conversation.messages if isinstance(conversation, CutOff) else conversation
    return sum(len(message["role"]) + len(message["content"]) for message in messages)


def _check_messages(messages: object, index: int, wanted: str) -> None:
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise ValueError(f"conversation {index} is a {type(messages).__name__}; give {wanted}")
    if not messages:
        raise ValueError(f"conversation {index} is empty; leave it out")
    for number, message in enumerate(messages):
        _check_message(message, number, index)


def _check_message(message: object, number: int, index: int) -> None:
    fields = [message.get(key) for key in ("role", "content")] if isinstance(message, Mapping) else [None]
    if not all(isinstance(field, str) for field in fields) or not fields[0]:
        raise ValueError(f"message {number} of conversation {index} needs a role and a content, both text")
    for field in fields:
        check_text(str(field), index)
