r"""Conversations as messages, and the transcripts of Anthropic's HH-RLHF, which are one string a conversation.

A transcript is a row of turns, each of two line ends, `Human:` or `Assistant:`, and the text of the turn. HH puts one
space before that text, which belongs to the form; all other white space, at either end of a turn too, belongs to the
turn. So `write_transcript(read_transcript(text)) == text` for every text that has this one space, as all of HH does.
What comes before the first turn is a system message (HH has none).
"""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

ROLES = ("system", "user", "assistant")
SPEAKERS = {"Human": "user", "Assistant": "assistant"}
MARKERS = {role: f"\n\n{speaker}:" for speaker, role in SPEAKERS.items()}
SHAREGPT = {"system": "system", "human": "user", "gpt": "assistant"}
_MARKER = re.compile(r"\n\n(Human|Assistant):")


class Message(NamedTuple):
    role: str
    """`system` (in the first place only), `user` or `assistant`."""
    content: str


Messages = tuple[Message, ...]
Plain = Literal["transcript", "question"]
"""How a conversation is written for a model without a chat template; see `rltk.data.preference_text`."""


def as_message(item: Any) -> Message | None:
    """What a row's list holds for one message: a role and content, or, as ShareGPT's form writes it, `from` (system,
    human or gpt) and `value`."""
    if not isinstance(item, dict):
        return None
    role, content = item.get("role"), item.get("content")
    if role is None and "from" in item:
        role, content = SHAREGPT.get(str(item["from"])), item.get("value")
    return Message(role, content) if role in ROLES and isinstance(content, str) else None


def is_transcript(text: str) -> bool:
    """Whether there is a turn of a user in it; a line such as "Human: hello" in the middle of a text is none."""
    return MARKERS["user"] in text


def read_transcript(text: str) -> Messages:
    """The turns as they stand, empty and repeated ones too. A text without turns is a system message alone."""
    preamble, *pieces = _MARKER.split(text)
    turns = zip(pieces[::2], pieces[1::2], strict=True)
    messages = [Message(SPEAKERS[speaker], said.removeprefix(" ")) for speaker, said in turns]
    return (*([Message("system", preamble)] if preamble else []), *messages)


def write_transcript(messages: Sequence[Message]) -> str:
    return "".join(
        message.content if message.role == "system" else f"{MARKERS[message.role]} {message.content}"
        for message in messages
    )


def join_repeated(messages: Sequence[Message]) -> Messages:
    """The same conversation with neighbouring turns of one role as one turn, with an empty line between their texts.

    Many chat templates refuse two turns of one role in a row; HH has a few, always of the assistant.
    """
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            texts = [text for text in (joined.pop().content, message.content) if text]
            message = Message(message.role, "\n\n".join(texts))
        joined.append(message)
    return tuple(joined)


def misordered(messages: Sequence[Message]) -> str | None:
    """What is wrong with the order of roles, after a verb's subject; None for a system message or none, then user and
    assistant by turns, the assistant last. Several turns in a row of one role count as one."""
    roles = [message.role for message in join_repeated(messages)]
    turns = roles[1:] if roles[0] == "system" else roles
    if not turns or turns[-1] != "assistant":
        return "does not end with a reply of the assistant"
    if turns != ["user", "assistant"] * (len(turns) // 2):
        return f"has its roles out of order ({', '.join(roles[:8])}); user and assistant take turns, user first"
    return None


def common_turns(one: Sequence[Message], other: Sequence[Message]) -> int:
    """How many whole turns the two conversations have in common before they first differ."""
    alike = (first == second for first, second in zip(one, other, strict=False))
    return next((count for count, same in enumerate(alike) if not same), min(len(one), len(other)))
