"""Conversations to imitate, each to its last reply: rows with a list of messages (`data.kind: messages`).

A message has a role (system, user or assistant) and content, or ShareGPT's `from` and `value`. A conversation may begin
with a system message; then user and assistant take turns, and the assistant has the last one.
"""

from collections.abc import Sequence

from rltk.data.problems import FEW, of_training_split
from rltk.data.rows import Row, described, read_rows
from rltk.data.transcripts import Message, Messages, as_message, join_repeated, misordered
from rltk.errors import UserError, tell
from rltk.recipe.schema import Data


def load_chats(data: Data, split: str) -> list[tuple[str, Messages]]:
    """The conversations of `train`, `validation` or `test`, each with its id, in a fixed order."""
    if split == "test":
        return read_chats(data, data.test)
    return of_training_split(data, read_chats(data, data.train), split)


def read_chats(data: Data, split: str) -> list[tuple[str, Messages]]:
    """Rows that are no conversation are left out and said, if they are few; otherwise the first is refused."""
    rows, where = read_rows(data, split, {"data.messages": data.messages}), described(data, split)
    found: list[tuple[str, Messages]] = []
    faults: list[str] = []
    for index, row in enumerate(rows):
        messages = read_chat(row, data.messages)
        if isinstance(messages, str):
            faults.append(f"{where}, {row.place}: {data.messages} {messages}")
            continue
        is_asked_for = data.system is not None and messages[0].role != "system"
        system = (Message("system", data.system or ""),) if is_asked_for else ()
        found.append((f"{split}/{index}", (*system, *messages)))
    if len(faults) > FEW * len(found):
        raise UserError(f"{faults[0]}.")
    if faults:
        tell(f"{data.path}: {len(faults)} of {len(rows)} rows left out: {faults[0]}.")
    return found


def read_chat(row: Row, column: str) -> Messages | str:
    """The conversation, or what is wrong with it, as the end of a sentence."""
    items = row.values.get(column)
    if not isinstance(items, Sequence) or isinstance(items, str) or not items:
        return "is no list of messages" if items else "is missing or empty"
    messages = [as_message(item) for item in items]
    for index, message in enumerate(messages):
        if message is None:
            return f"has a message, number {index}, without a role (system, user or assistant) and content in words"
    joined = join_repeated([message for message in messages if message is not None])
    if not joined[-1].content.strip():
        return "ends with an empty message"
    return misordered(joined) or joined
