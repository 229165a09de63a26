"""The forms of `rewards`: what a completion is worth."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from rltk.recipe.fields import Count, Flag, Number, Positive, Section, Text, Url

REWARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class AnswerReward(Section):
    """1 for the right answer to a problem, 0 otherwise."""

    type: Literal["answer"] = "answer"
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class ModelReward(Section):
    """The score of a reward model, loaded here: as an adapter on the policy's base where it is one of it."""

    type: Literal["model"] = "model"
    path: Text
    """A run that trained a reward model, or the folder of a reward model or adapter."""
    trust_remote_code: Flag = False
    """Let Python code that comes with the reward model run here."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class ServerReward(Section):
    """The score of a reward model behind a scoring server."""

    type: Literal["server"] = "server"
    url: Url
    """Where it answers, such as http://127.0.0.1:8100."""
    token_file: Text | None = None
    """File that holds the server's token; null where it asks for none."""
    send: Literal["messages", "text"] = "messages"
    """Messages, which the server renders by its model's chat template; or text as the policy's template has it, with
    its end-of-text token, which is what a reward model of the policy's own tokenizer was trained on. A completion that
    was cut off has no end in either form."""
    in_flight: Count = 4
    """Requests at once."""
    patience: Positive = 60.0
    """Seconds that a server may be away before the run ends, to be resumed."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class GoldReward(Section):
    """The true reward of embedded/dialogues, which no learned reward knows."""

    type: Literal["gold"] = "gold"
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class SolutionReward(Section):
    """Up to 1 for following the worked solution from its start: a share at each of its steps, or words, until the first
    that differs. PPO and GRPO give what is due at a token to it and those before, not to the whole completion."""

    type: Literal["solution"] = "solution"
    by: Literal["steps", "words"] = "steps"
    """Steps are told by what their equations come to, such as the 72 of 48 + 24 = 72."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


class PythonReward(Section):
    """What a function of your own gives: it takes (problem, completion), or all of a step's (problems, completions)."""

    type: Literal["python"] = "python"
    path: Annotated[str, Field(pattern=r"\.py$", json_schema_extra={"patternErrorMessage": "a file that ends in .py"})]
    """The Python file; where a path ends in .py, type need not be written."""
    function: Text | None = None
    """Its name in that file; null is the name of the reward."""
    in_flight: Count = 16
    """Calls at once of an async function of one completion."""
    weight: Number = 1.0
    """Factor of this reward in the sum."""


Reward = Annotated[
    AnswerReward | ModelReward | ServerReward | GoldReward | SolutionReward | PythonReward, Field(discriminator="type")
]
