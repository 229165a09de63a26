"""What on-policy training asks and evaluations complete: problems, or prompts of preferences, by the kind of data."""

from rltk.data.preferences import load_split
from rltk.data.problems import EMBEDDED_SIZES, Problem, load_problems
from rltk.data.transcripts import Messages
from rltk.embedded.dialogues import dialogue_prompts
from rltk.errors import UserError
from rltk.recipe.schema import Data


def load_asked(data: Data, split: str) -> list[Problem]:
    """The problems, or conversations, of one split, `train`, `validation` or `test`, in a fixed order."""
    return conversations(data, split) if data.kind == "preferences" else load_problems(data, split)


def conversations(data: Data, split: str) -> list[Problem]:
    """The prompts of preferences, each once; what they are worth is for rewards to judge."""
    if data.is_embedded:
        return embedded_conversations(data, split)
    pairs = load_split(data, split).pairs
    first = {pair.prompt: pair.id for pair in reversed(pairs)}
    return [conversation(pair.id, pair.prompt) for pair in pairs if first[pair.prompt] == pair.id]


def embedded_conversations(data: Data, split: str) -> list[Problem]:
    size = data.size if split == "train" and data.size else EMBEDDED_SIZES[split]
    try:
        asked = dialogue_prompts(split, size)
    except ValueError as error:
        raise UserError(f"data.size = {size}: {error}.") from error
    return [conversation(prompt.id, prompt.prompt, prompt.kind) for prompt in asked]


def conversation(id: str, messages: Messages, subject: str | None = None) -> Problem:
    return Problem(id, messages[-1].content, "", subject=subject, messages=messages)
