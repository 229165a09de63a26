"""The section `data`: problems or preferences, and how their rows are read."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from rltk_eval.verdicts import Kind

from rltk.recipe.fields import Count, Fraction, Section, Text, Whole, broken_rule
from rltk.recipe.sections.embedded import EMBEDDED, refuse_unknown_embedded

DataKind = Literal["number", "math", "preferences", "messages"]
EMBEDDED_KINDS: dict[str, DataKind] = {
    "embedded/word-problems": "number",
    "embedded/equations": "math",
    "embedded/dialogues": "preferences",
}
EMBEDDED_DATA = tuple(EMBEDDED_KINDS)
EXTERNAL = (
    "config",
    "data_dir",
    "question",
    "answer",
    "subject",
    "kind",
    "prompt_column",
    "chosen",
    "rejected",
    "margin",
    "messages",
    "train",
    "test",
    "validation",
)
"""Keys of `data` that say how data from outside is read."""
PROBLEM_KEYS = ("question", "answer", "subject", "levels", "prompt")
PREFERENCE_KEYS = ("data_dir", "prompt_column", "chosen", "rejected", "margin", "noise")
MESSAGE_KEYS = ("messages",)
"""Keys of `data` that only problems, only preferences, or only conversations to imitate have a use for."""


class Data(Section):
    """Problems (a question, and an answer that can be checked), preferences (two replies, one of them preferred), or
    conversations to imitate."""

    path: Text
    """A hub id, a local folder, a .jsonl or .parquet file, or one of embedded/word-problems, embedded/equations and
    embedded/dialogues, which are generated."""
    config: Text | Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Configuration of a hub data set, such as main; or a list, which are joined, one row of each in turn."""
    data_dir: Text | None = None
    """Folder of a preference data set to read alone, such as helpful-base of Anthropic/hh-rlhf."""
    question: Text = "question"
    """Column of the question."""
    answer: Text = "answer"
    """Column of the gold answer, or of a solution that ends in it."""
    subject: Text = "subject"
    """Column of the subject, by which accuracy is broken down as it is by the column level; data may have neither."""
    kind: DataKind = "number"
    """What a row is: a problem whose gold answer is a number (72, or a solution with #### 72) or math (LaTeX, or a
    solution with a box); preferences, two replies to one prompt; or messages, a conversation whose last reply SFT
    imitates. Embedded data is of its own kind."""
    prompt_column: Text = "prompt"
    """Column of the prompt of preferences; rows may have none, and whole conversations on both sides instead."""
    chosen: Text = "chosen"
    """Column of the reply, or whole conversation, that was preferred."""
    rejected: Text = "rejected"
    """Column of the other one."""
    margin: Text | None = None
    """Column of how much better the chosen reply is; null where there is none."""
    messages: Text = "messages"
    """Column of a conversation: a list of messages with role and content, or with from and value."""
    noise: Annotated[Fraction, Field(lt=0.5)] = 0.0
    """Share of the labels of embedded/dialogues that are flipped on purpose."""
    train: Text = "train"
    """Name of the split that is trained on."""
    test: Text = "test"
    """Name of the split that nothing is tuned on."""
    validation: Whole = 0
    """Problems held out of the training split, to choose settings by."""
    levels: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3)
    """Difficulties of the embedded problems; other data has none to choose."""
    size: Count | None = None
    """Training rows used, the first ones; null is all of them."""
    prompt: str = "{question}"
    """What is asked: {question} is replaced by the question, everything else stays as written."""
    system: Text | None = None
    """System message of the chat template; null sends none."""

    @property
    def is_embedded(self) -> bool:
        return self.path.startswith(EMBEDDED)

    @property
    def answer_kind(self) -> Kind:
        """How the answers of problems are read; nothing else has any."""
        if self.kind == "preferences" or self.kind == "messages":
            raise AssertionError(f"{self.kind} have no answers to read")
        return self.kind

    @property
    def has_answers(self) -> bool:
        """Whether rows are problems."""
        return self.kind in ("number", "math")

    @field_validator("prompt")
    @classmethod
    def _one_question(cls, prompt: str) -> str:
        if re.findall(r"\{[A-Za-z_]\w*\}", prompt) != ["{question}"]:
            raise broken_rule("must contain {question} exactly once and no other placeholder")
        return prompt

    @model_validator(mode="before")
    @classmethod
    def _embedded_kind(cls, given: Any) -> Any:
        if isinstance(given, dict) and "kind" not in given and given.get("path") in EMBEDDED_KINDS:
            return given | {"kind": EMBEDDED_KINDS[given["path"]]}
        return given

    @model_validator(mode="after")
    def _honours_what_is_set(self) -> Data:
        refuse_unknown_embedded(self.path, EMBEDDED_DATA)
        if isinstance(self.config, tuple) and len(set(self.config)) < len(self.config):
            raise broken_rule("names a configuration twice", "config")
        if isinstance(self.config, tuple) and not self.has_answers:
            raise broken_rule("is a list, and of problems alone several are joined; name one", "config", "kind")
        if not self.is_embedded and "levels" in self.model_fields_set:
            raise broken_rule(f"is for embedded data only, and data.path is {self.path}; remove it", "levels", "path")
        for key in EXTERNAL if self.is_embedded else ():
            self._refuse(key, EMBEDDED_KINDS[self.path] if key == "kind" else None, f"for {self.path}", "path")
        own = {"preferences": PREFERENCE_KEYS, "messages": MESSAGE_KEYS}
        used = PROBLEM_KEYS if self.has_answers else own[self.kind]
        for key in (*PROBLEM_KEYS, *PREFERENCE_KEYS, *MESSAGE_KEYS):
            if key not in used:
                self._refuse(key, None, f"where data.kind is {self.kind}", "kind")
        if self.noise and not self.is_embedded:
            raise broken_rule(f"is for embedded/dialogues only, and data.path is {self.path}", "noise", "path")
        return self

    def _refuse(self, key: str, own: str | None, where: str, because: str) -> None:
        """`own` is the value it may have instead of its default."""
        default = type(self).model_fields[key].default if own is None else own
        if getattr(self, key) != default:
            shown = json.dumps(default)
            raise broken_rule(f"has no meaning {where}; set it back to {shown}", key, because)
