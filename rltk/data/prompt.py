"""The one place that turns a question into prompt tokens and completion tokens into text, for all of rltk."""

from collections.abc import Sequence

from jinja2 import TemplateError
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import Plain, prompt_text
from rltk.data.problems import Problem
from rltk.data.transcripts import Message, Messages
from rltk.errors import UserError
from rltk.recipe.schema import Data


class PromptRenderer:
    """Renders through the tokenizer's chat template where it has one, as plain text otherwise."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, data: Data) -> None:
        self.tokenizer, self.template, self.system = tokenizer, data.prompt, data.system

    def text(self, problem: Problem) -> str:
        messages = self.messages(problem)
        if not self.tokenizer.chat_template or problem.messages:
            return prompt_text(messages, self.tokenizer, plain=self.plain(problem))
        rows = [message._asdict() for message in messages]
        try:
            rendered = self.tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:  # some templates take no system message, and say so by raising
            raise UserError(f"the model's chat template refuses the prompt ({error}); see data.system.") from error
        assert isinstance(rendered, str)
        return rendered

    def messages(self, problem: Problem) -> Messages:
        """The conversation that the completion goes on with."""
        asked = problem.messages or (Message("user", self.template.replace("{question}", problem.question)),)
        return asked if self.system is None else (Message("system", self.system), *asked)

    def plain(self, problem: Problem) -> Plain:
        """How it is written for a model without a chat template."""
        return "transcript" if problem.messages else "question"

    def tokens(self, problem: Problem) -> list[int]:
        """A chat template writes its own special tokens, so the tokenizer must not add a second beginning-of-text."""
        has_template = bool(self.tokenizer.chat_template)
        ids = self.tokenizer.encode(self.text(problem), add_special_tokens=not has_template)
        assert isinstance(ids, list)
        return ids


def render_all(
    renderer: PromptRenderer, problems: Sequence[Problem], *, max_new_tokens: int, context: int | None
) -> list[list[int]]:
    """Prompt tokens of each problem; one that is empty, or leaves no room for its answer, is refused by its id."""
    prompts = [renderer.tokens(problem) for problem in problems]
    for problem, prompt in zip(problems, prompts, strict=True):
        reason = misfit(prompt, max_new_tokens=max_new_tokens, context=context)
        if reason is not None:
            raise UserError(f"problem {problem.id} {reason}")
    return prompts


def misfit(prompt: Sequence[int], *, max_new_tokens: int, context: int | None) -> str | None:
    """Why a prompt cannot be asked, as the end of a sentence; None if it can."""
    if not prompt:
        return "renders to an empty prompt; see data.prompt."
    if context is not None and len(prompt) + max_new_tokens > context:
        return (
            f"has {len(prompt)} prompt tokens, and with rollout.max_new_tokens = {max_new_tokens} that exceeds the "
            f"model's context of {context}."
        )
    return None


def completion_text(tokenizer: PreTrainedTokenizerBase, tokens_T: Tensor) -> str:
    """What the answer reader reads: the completion without special tokens."""
    text = tokenizer.decode(tokens_T.tolist(), skip_special_tokens=True)
    assert isinstance(text, str)
    return text
