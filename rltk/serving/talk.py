"""A conversation with one or two models at a time, each remembering what it said itself."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from rltk.recipe.schema import Data
from rltk.serving.answers import Chats
from rltk.serving.service import Answer, Service
from rltk.serving.wire import ApiError, Asked

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Way:
    """How a person's words are put to a model: as its run asked, where it is a run."""

    prompt: str = "{question}"
    system: str | None = None

    @classmethod
    def of(cls, data: Data | None) -> "Way":
        """Preferences have no questions to put."""
        return cls() if data is None or data.kind == "preferences" else cls(data.prompt, data.system)

    def question(self, words: str) -> str:
        return self.prompt.replace("{question}", words)


@dataclass
class Side:
    service: Service
    model: str
    way: Way
    turns: list[dict[str, str]] = field(default_factory=list)

    def ask(self, words: str, asked: Asked, tokens: int) -> Answer:
        """The earliest turns are forgotten where the context has no room for them."""
        question = {"role": "user", "content": self.way.question(words)}
        while True:
            prompt = self.prompt([*self.turns, question])
            context = self.service.context
            if not self.turns or context is None or len(prompt) + tokens <= context:
                break
            del self.turns[:2]
        if context is not None:
            tokens = max(1, min(tokens, context - len(prompt)))
        form = Chats(self.service.vocabulary.token, has_logprobs=False, has_ids=False)
        return self.service.ask(asked.model_copy(update={"model": self.model}), [prompt], tokens, 0, form)

    def prompt(self, turns: Sequence[dict[str, str]]) -> list[int]:
        """Without a chat template a model knows no turns: it reads the last question alone."""
        vocabulary, system = self.service.vocabulary, self.way.system
        if not vocabulary.tokenizer.chat_template:
            question = turns[-1]["content"]
            return vocabulary.encode(question if system is None else f"{system}\n\n{question}")
        opening = [] if system is None else [{"role": "system", "content": system}]
        return vocabulary.chat([*opening, *turns])

    def remember(self, words: str, reply: str) -> None:
        said = ({"role": "user", "content": self.way.question(words)}, {"role": "assistant", "content": reply})
        self.turns.extend(said)


class Reply:
    """An answer that grows in a thread of its own."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.error = answer, ""
        self.thread = threading.Thread(target=self._grow, daemon=True)
        self.thread.start()

    @property
    def text(self) -> str:
        return self.answer.choices[0].text

    @property
    def is_over(self) -> bool:
        return not self.thread.is_alive()

    def wait(self) -> None:
        self.thread.join(POLL_SECONDS)

    def stop(self) -> None:
        self.answer.job.cancel()
        self.thread.join()

    def _grow(self) -> None:
        try:
            for _ in self.answer.grow(lambda: False):
                pass
        except ApiError as error:
            self.error = error.message
