"""What supervised fine-tuning imitates: a prompt and the reply to it, from problems or from preferences."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from rltk.data.chats import load_chats
from rltk.data.preferences import EMBEDDED, EMBEDDED_SIZES, load_split
from rltk.data.problems import load_problems
from rltk.data.prompt import PromptRenderer
from rltk.data.transcripts import Messages
from rltk.embedded.dialogues import demonstrations
from rltk.errors import UserError
from rltk.recipe.schema import Data


class Demonstration(NamedTuple):
    id: str
    prompt: Messages
    reply: str


class Demonstrations(NamedTuple):
    rows: list[Demonstration]
    report: str | None
    """What was found in the rows they were read from, where that needs saying."""


def load_demonstrations(data: Data, tokenizer: PreTrainedTokenizerBase, split: str = "train") -> Demonstrations:
    """Of a split: last replies, or worked solutions; of the training split preferred replies, or embedded dialogues'
    best."""
    if data.kind == "messages":
        chats = load_chats(data, split)
        return Demonstrations([Demonstration(id, chat[:-1], chat[-1].content) for id, chat in chats], None)
    if data.kind != "preferences":
        renderer = PromptRenderer(tokenizer, data)
        problems = load_problems(data, split)
        return Demonstrations([Demonstration(p.id, renderer.messages(p), p.solution) for p in problems], None)
    assert split == "train"
    if data.path == EMBEDDED:
        return Demonstrations(best_dialogues(data), None)
    pairs, report = load_split(data, "train")
    return Demonstrations([Demonstration(pair.id, pair.prompt, pair.chosen) for pair in pairs], report.text)


def best_dialogues(data: Data) -> list[Demonstration]:
    try:
        made = demonstrations("train", data.size or EMBEDDED_SIZES["train"], best=True)
    except ValueError as error:
        raise UserError(f"data.size = {data.size}: {error}.") from error
    return [Demonstration(one.id, one.prompt, one.reply) for one in made]


def fingerprint(rows: Sequence[Demonstration]) -> str:
    """A hash of the demonstrations and their order, for the manifest."""
    digest = hashlib.blake2b(digest_size=8)
    for row in rows:
        digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()
