"""What on-policy training asks and evaluations complete: problems, or prompts of preferences, by the kind of data."""

from rltk.data.preferences import load_split
from rltk.data.problems import Problem, embedded_size, load_problems
from rltk.data.transcripts import Messages
from rltk.embedded.dialogues import dialogue_prompts
from rltk.errors import UserError
from rltk.recipe.schema import Data


def load_asked(data: Data, split: str, most: int | None = None) -> list[Problem]:
    """The problems, or conversations, of `train`, `validation` or `test` in a fixed order: all, or the first `most`."""
    if data.kind == "messages":
        raise UserError(
            f"{data.path} has conversations to imitate (data.kind is messages), with nothing to check an answer "
            "against; name problems, such as --task gsm8k."
        )
    return conversations(data, split, most) if data.kind == "preferences" else load_problems(data, split, most)


def conversations(data: Data, split: str, most: int | None) -> list[Problem]:
    """The prompts of preferences, each once; what they are worth is for rewards to judge."""
    if data.is_embedded:
        return embedded_conversations(data, split, most)
    pairs = load_split(data, split).pairs
    first = {pair.prompt: pair.id for pair in reversed(pairs)}
    return [conversation(pair.id, pair.prompt) for pair in pairs if first[pair.prompt] == pair.id][:most]


def embedded_conversations(data: Data, split: str, most: int | None) -> list[Problem]:
    size = embedded_size(data, split, most)
    try:
        asked = dialogue_prompts(split, size)
    except ValueError as error:
        raise UserError(f"data.size = {size}: {error}.") from error
    return [conversation(prompt.id, prompt.prompt, prompt.kind) for prompt in asked]


def conversation(id: str, messages: Messages, subject: str | None = None) -> Problem:
    return Problem(id, messages[-1].content, "", subject=subject, messages=messages)
