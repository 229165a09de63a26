"""What two policies are asked: the questions of problems, or the prompts of preference pairs, each once."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from rltk.data.preferences import Preference
from rltk.data.rows import read_file
from rltk.data.tasks import HELDOUT, Task
from rltk.data.templates import Template, find_template
from rltk.data.transcripts import Message, Messages, Plain
from rltk.evaluation.pairs.tasks import is_hh
from rltk.recipe.locate import expanded
from rltk.recipe.schema import PREFERENCE_TASKS, Data


class Prompt(NamedTuple):
    id: str
    messages: Messages


class PromptTask(NamedTuple):
    name: str
    problems: list[Prompt]
    plain: Plain
    """question for problems, transcript for conversations."""
    template: Template
    """How problems are asked; a model with a recipe is asked as its own are."""

    @property
    def hash(self) -> str:
        return blake2b(repr(self.problems).encode(), digest_size=8).hexdigest()


def asks_conversations(name: str, data: Data | None) -> bool:
    """Whether a task's rows are preference pairs; of a file its columns tell."""
    if name == HELDOUT:
        return data is not None and data.kind == "preferences"
    if name in PREFERENCE_TASKS or is_hh(name):
        return True
    path = expanded(name)
    if not os.path.isfile(path):
        return False
    return {"chosen", "rejected"} <= set(next(iter(read_file(path)), ("", {}))[1])


def of_problems(task: Task) -> PromptTask:
    prompts = [Prompt(problem.id, (Message("user", problem.question),)) for problem in task.problems]
    return PromptTask(task.name, prompts, "question", task.prompt)


def of_pairs(name: str, pairs: Sequence[Preference], limit: int | None) -> PromptTask:
    """The first `limit` different prompts, each under the id of its first pair."""
    first: dict[Messages, str] = {}
    for pair in pairs:
        first.setdefault(pair.prompt, pair.id)
    prompts = [Prompt(id, messages) for messages, id in first.items()][:limit]
    return PromptTask(name, prompts, "transcript", find_template("plain@1"))


def asked(prompt: Prompt, plain: Plain, template: Template) -> Messages:
    """The prompt as a model is asked it: a question in the template's words, a conversation as it stands."""
    if plain == "transcript":
        return prompt.messages
    question = Message("user", template.text.replace("{question}", prompt.messages[-1].content))
    return (question,) if template.system is None else (Message("system", template.system), question)
