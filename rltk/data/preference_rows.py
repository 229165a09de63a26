"""One row of preference data to the two conversations it compares, or one sentence about what is wrong with it.

Each side is text or a list of messages, and is the whole conversation or, where the row has a prompt, the reply alone:

- text: a transcript as HH-RLHF writes it is a conversation; any other text is a reply.
- messages: a list that begins with the assistant is a reply; any other is a conversation, which the prompt must begin.
  ShareGPT's `from` and `value` are read, too.
- the prompt: a transcript, a list of messages, or any other text, which is then the user's one message.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from rltk.data.rows import Row, load_split, read_file
from rltk.data.transcripts import (
    MARKERS,
    ROLES,
    Message,
    Messages,
    as_message,
    is_transcript,
    misordered,
    read_transcript,
    write_transcript,
)
from rltk.errors import UserError
from rltk.recipe.paths import what_is_wrong

FORM = r"'\n\nHuman: ...\n\nAssistant: ...'"


@dataclass(frozen=True)
class PreferenceSource:
    path: str
    """A hub id, a local folder, a .jsonl, .json or .parquet file, or embedded/dialogues, which is generated."""
    split: str = "train"
    """A single file is read whole, whatever the split."""
    config: str | None = None
    data_dir: str | None = None
    """The folder of a data set to read alone, such as helpful-base of HH-RLHF."""
    chosen: str = "chosen"
    rejected: str = "rejected"
    prompt: str = "prompt"
    """Column of the prompt. A source without this column has whole conversations on both sides."""
    margin: str | None = None
    """Column of how much better the chosen reply is, if there is one."""
    subset: str = "subset"
    """Column of the part that a row belongs to; a source may have none."""
    noise: float = 0.0
    """For embedded/dialogues: the share of labels that are flipped, 0, 0.1 or 0.25."""
    size: int | None = None
    """Pairs used, the first ones; None is all of them."""

    def __str__(self) -> str:
        if os.path.isfile(os.path.expanduser(self.path)):
            return self.path
        return f"{self.path} ({'/'.join(part for part in (self.data_dir, self.split) if part)})"


class Prompt(NamedTuple):
    messages: Messages
    asks_for_reply: bool
    """It is a transcript that ends in `Assistant:`, so that a reply begins with the space after that."""


class Sides(NamedTuple):
    """The two conversations as they stand in the row; each ends with a reply of the assistant."""

    chosen: Messages
    rejected: Messages
    speaks_for_user: bool
    """A reply goes on to write the user's next turn."""


def read_source(source: PreferenceSource) -> list[Row]:
    """All rows of a file, a folder or the hub. There is at least one, and the columns of both sides exist."""
    wrong = what_is_wrong(source.path, may_be_remote=True)
    if wrong:
        raise UserError(f"preference data {source.path} {wrong}")
    path = Path(os.path.expanduser(source.path))
    if os.path.isfile(path) and source.data_dir is not None:
        raise UserError(f"{source.path} is one file: data_dir = {source.data_dir} is for a folder or a hub id.")
    if os.path.isfile(path):
        rows = read_file(path)
    else:
        what = f"preference data {source}"
        rows = load_split(source.path, source.config, source.split, what=what, data_dir=source.data_dir)
    if not rows:
        raise UserError(f"{source} has no rows.")
    columns = {column for row in rows for column in row.values}
    for column in (source.chosen, source.rejected, *([source.margin] if source.margin else [])):
        if column not in columns:
            raise UserError(f"{source} has no column {column!r}; it has {', '.join(sorted(columns))}.")
    return rows


def read_sides(source: PreferenceSource, row: Row) -> Sides:
    prompt, columns = read_prompt(source, row), (source.chosen, source.rejected)
    chosen, rejected = (read_side(source, row, column, prompt) for column in columns)
    return Sides(chosen, rejected, any(MARKERS["user"] in side[-1].content for side in (chosen, rejected)))


def read_margin(source: PreferenceSource, row: Row) -> float | None:
    value = row.values.get(source.margin) if source.margin else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        refuse(source, row, f"{source.margin} is {shown(value)}; a number was expected")
    return float(value)


def read_subset(source: PreferenceSource, row: Row) -> str | None:
    value = row.values.get(source.subset)
    return None if value is None else str(value)


def read_prompt(source: PreferenceSource, row: Row) -> Prompt | None:
    """None where the row has no prompt."""
    match row.values.get(source.prompt):
        case None:
            return None
        case str(text) if is_transcript(text):
            messages = read_transcript(text)
            asks = messages[-1].role == "assistant" and not messages[-1].content.strip()
            return Prompt(messages[:-1] if asks else messages, asks)
        case str(text) if text.strip():
            return Prompt((Message("user", text),), False)
        case [*items] if items:
            return Prompt(read_messages(source, row, source.prompt, items), False)
        case other:
            refuse(source, row, f"{source.prompt} is {shown(other)}; text or a list of messages was expected")


def read_side(source: PreferenceSource, row: Row, column: str, prompt: Prompt | None) -> Messages:
    """The whole conversation of one side, its roles in order."""
    match row.values.get(column):
        case str(text) if text.startswith(MARKERS["user"]) or (prompt is None and is_transcript(text)):
            messages = fold_last_turns(read_transcript(text))
        case str(text) if prompt is not None:
            messages = (Message("assistant", text.removeprefix(" ") if prompt.asks_for_reply else text),)
        case str(text):
            ways = rf"a column {source.prompt!r}, lists of messages, or transcripts of the form {FORM}"
            refuse(source, row, f"{column} is text without turns ({shown(text)}); give {ways}")
        case [*items] if items:
            messages = read_messages(source, row, column, items)
        case None:
            refuse(source, row, f"{column} is missing")
        case other:
            refuse(source, row, f"{column} is {shown(other)}; text or a list of messages was expected")
    if prompt is not None:
        messages = with_prompt(source, row, column, prompt.messages, messages)
    check_order(source, row, column, messages)
    return messages


def with_prompt(source: PreferenceSource, row: Row, column: str, prompt: Messages, messages: Messages) -> Messages:
    """A reply after its prompt. A conversation may have a system message that its prompt lacks."""
    if messages[0].role == "assistant":
        return prompt + messages
    start = int(messages[0].role == "system" and prompt[0].role != "system")
    if messages[start : start + len(prompt)] != prompt:
        refuse(source, row, f"{column} is a conversation that does not begin with {source.prompt}")
    return messages


def read_messages(source: PreferenceSource, row: Row, column: str, items: list[Any]) -> Messages:
    return tuple(read_message(source, row, column, index, item) for index, item in enumerate(items))


def read_message(source: PreferenceSource, row: Row, column: str, index: int, item: Any) -> Message:
    if (message := as_message(item)) is None:
        expected = f"an object with a role ({', '.join(ROLES)}) and content in words was expected"
        refuse(source, row, f"message {index} of {column} is {shown(item)}; {expected}")
    return message


def fold_last_turns(messages: Messages) -> Messages:
    """Turns of the user after the last reply join it, as its model wrote them.

    HH-RLHF has two such rows, and in both it is why the reply was rejected: cut off, one pair would have equal sides.
    """
    replies = [index for index, message in enumerate(messages) if message.role == "assistant"]
    if not replies or replies[-1] == len(messages) - 1:
        return messages
    reply, *after = messages[replies[-1] :]
    return (*messages[: replies[-1]], Message("assistant", reply.content + write_transcript(after)))


def check_order(source: PreferenceSource, row: Row, column: str, messages: Messages) -> None:
    if (fault := misordered(messages)) is not None:
        refuse(source, row, f"{column} {fault}")


def refuse(source: PreferenceSource, row: Row, what: str) -> NoReturn:
    raise UserError(f"{source}, {row.place}: {what}.")


def shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
