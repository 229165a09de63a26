"""What goes over the wire between a scoring server and its clients, and how much of it is taken.

An item is {"text": ...}, which is scored as it stands, {"messages": [...]}, or {"prompt": ..., "reply": ...} where the
prompt is text or messages. With "is_cut_off": true beside messages or reply, the last one is scored without the
end-of-text token that the chat template writes after it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rltk_reward_models.conversations import Conversation, CutOff, Message, Scored, characters, check_conversation

FORMS = ({"text"}, {"messages"}, {"prompt", "reply"})


@dataclass(frozen=True)
class Limits:
    request_bytes: int = 4 * 2**20
    items: int = 256
    """In one request."""
    characters: int = 200_000
    """In one item."""
    requests: int = 64
    """Being read or scored at once; more are told to come again."""
    connections: int = 256
    idle_seconds: float = 30.0
    """For the next request line and headers to arrive on an open connection."""
    body_seconds: float = 20.0
    """For the whole body to arrive; as long again for the answer to be taken."""


class TooLargeError(ValueError):
    """More than the server's limits allow."""


def to_items(conversations: Sequence[Conversation]) -> bytes:
    """A request's body."""
    return json.dumps({"items": [_item(conversation) for conversation in conversations]}).encode()


def from_items(body: bytes, limits: Limits) -> list[Conversation]:
    """The conversations of a request's body; ValueError says which item is wrong, and how."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON ({error})") from error
    if not isinstance(request, dict) or set(request) != {"items"} or not isinstance(request["items"], list):
        raise ValueError('the body must be {"items": [...]}')
    if len(request["items"]) > limits.items:
        raise TooLargeError(f"{len(request['items'])} items in one request; at most {limits.items} are taken")
    return [_conversation(item, index, limits) for index, item in enumerate(request["items"])]


def to_answer(scored: Sequence[Scored], model: str) -> dict[str, Any]:
    return {
        "scores": [one.score for one in scored],
        "tokens": [one.tokens for one in scored],
        "truncated": [one.is_truncated for one in scored],
        "model": model,
    }


def from_answer(answer: Any, count: int) -> tuple[list[Scored], str]:
    """Scores and the hash of the model that gave them; ValueError for what is no answer to `count` items."""
    try:
        columns = zip(answer["scores"], answer["tokens"], answer["truncated"], strict=True)
        scored = [Scored(float(score), int(tokens), bool(truncated)) for score, tokens, truncated in columns]
        model = answer["model"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not the answer of a scoring server ({error!r:.100})") from error
    if len(scored) != count:
        raise ValueError(f"{len(scored)} scores for {count} items")
    return scored, str(model)


def _item(conversation: Conversation) -> dict[str, Any]:
    match conversation:
        case str():
            return {"text": conversation}
        case CutOff(messages=messages):
            return {"messages": [dict(message) for message in messages], "is_cut_off": True}
        case _:
            return {"messages": [dict(message) for message in conversation]}


def _conversation(item: object, index: int, limits: Limits) -> Conversation:
    conversation = _form(item, index)
    check_conversation(conversation, index)
    if (length := characters(conversation)) > limits.characters:
        raise TooLargeError(f"item {index} has {length} characters; at most {limits.characters} are taken")
    return conversation


def _form(item: object, index: int) -> Conversation:
    """The item as text or messages; what the messages hold is not looked at yet."""
    is_cut_off = False
    if isinstance(item, dict) and "text" not in item:  # text says by itself whether it has an end
        item = dict(item)
        is_cut_off = item.pop("is_cut_off", False)
    form = _whole_form(item, index)
    if not isinstance(is_cut_off, bool):
        raise ValueError(f"item {index}: is_cut_off must be true or false; got {is_cut_off!r:.40}")
    return CutOff(form) if is_cut_off and not isinstance(form, str) else form


def _whole_form(item: object, index: int) -> str | Sequence[Message]:
    match item if isinstance(item, dict) and set(item) in FORMS else None:
        case {"text": str(text)}:
            return text
        case {"messages": list(messages)}:
            pass
        case {"prompt": str(prompt), "reply": str(reply)}:
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        case {"prompt": list(prompt), "reply": str(reply)}:
            messages = [*prompt, {"role": "assistant", "content": reply}]
        case _:
            raise ValueError(
                f'item {index} must be {{"text": text}}, {{"messages": list}} or '
                '{"prompt": text or list, "reply": text}, the latter two also with "is_cut_off", and nothing else'
            )
    if any(isinstance(message, dict) and not message.keys() <= {"role", "content"} for message in messages):
        raise ValueError(f"item {index}: messages have a role and a content and nothing else")
    return messages
