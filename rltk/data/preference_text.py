r"""The one place that turns a conversation and a reply into the text and tokens that reward models and DPO train on.

A reply is rendered as its policy would have written it after the prompt, up to its end-of-text token:

- with a chat template, as the template writes them; what it writes after the end-of-text token (a line end, in some) is
  cut off, as no policy ever samples it.
- without one, as a transcript in HH-RLHF's form: `\n\nHuman: ...\n\nAssistant:`, then a space and the reply. With
  `plain="question"` the prompt is the user's one message as it stands, and the reply follows it directly, which is how
  `rltk.data.prompt` asks problems of such models.
"""

from typing import NamedTuple

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from rltk.data.preferences import Preference
from rltk.data.transcripts import MARKERS, Message, Messages, Plain, write_transcript
from rltk.errors import UserError


class PreferenceText(NamedTuple):
    """Prompt + chosen and prompt + rejected are the two whole texts."""

    prompt: str
    chosen: str
    rejected: str


class PreferenceTokens(NamedTuple):
    """Prompt + chosen and prompt + rejected are the two whole rows of token ids."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def preference_text(
    pair: Preference, tokenizer: PreTrainedTokenizerBase, *, plain: Plain = "transcript"
) -> PreferenceText:
    """UserError where the chat template does not begin the conversation with the prompt that asks for the reply."""
    prompt = prompt_text(pair.prompt, tokenizer, plain=plain)
    chosen, rejected = (
        reply_text(pair.prompt, reply, tokenizer, plain=plain) for reply in (pair.chosen, pair.rejected)
    )
    return PreferenceText(prompt, chosen, rejected)


def preference_tokens(
    pair: Preference, tokenizer: PreTrainedTokenizerBase, *, plain: Plain = "transcript"
) -> PreferenceTokens:
    text = preference_text(pair, tokenizer, plain=plain)
    prompt = encode(tokenizer, text.prompt)
    chosen, rejected = (reply_tokens(tokenizer, text.prompt, prompt, reply) for reply in text[1:])
    return PreferenceTokens(prompt, chosen, rejected)


def prompt_text(prompt: Messages, tokenizer: PreTrainedTokenizerBase, *, plain: Plain = "transcript") -> str:
    """Up to where the reply begins."""
    if tokenizer.chat_template:
        return apply_template(tokenizer, prompt, ask=True)
    return write_transcript(prompt) + MARKERS["assistant"] if plain == "transcript" else question_text(prompt)


def reply_text(prompt: Messages, reply: str, tokenizer: PreTrainedTokenizerBase, *, plain: Plain = "transcript") -> str:
    """What follows `prompt_text`, with the end-of-text token."""
    end = tokenizer.eos_token or ""
    assert isinstance(end, str)
    if not tokenizer.chat_template:
        return f" {reply}{end}" if plain == "transcript" else f"{reply}{end}"
    asked = apply_template(tokenizer, prompt, ask=True)
    whole = apply_template(tokenizer, (*prompt, Message("assistant", reply)), ask=False)
    if not whole.startswith(asked):
        raise UserError(
            "the model's chat template does not begin a conversation with the prompt that asks for its last reply "
            f"({asked[-40:]!r}), so a reply cannot be told from its prompt; give the tokenizer a template that does."
        )
    body, found, _ = whole[len(asked) :].rpartition(end) if end else (whole[len(asked) :], "", "")
    return body + end if found else whole[len(asked) :]


def question_text(prompt: Messages) -> str:
    system, rest = (prompt[:1], prompt[1:]) if prompt[0].role == "system" else ((), prompt)
    if len(rest) != 1:
        raise UserError(f"a conversation of {len(rest)} turns is no single question; render it as a transcript.")
    return "\n\n".join(message.content for message in (*system, *rest))


def apply_template(tokenizer: PreTrainedTokenizerBase, messages: Messages, *, ask: bool) -> str:
    rows = [message._asdict() for message in messages]
    try:
        rendered = tokenizer.apply_chat_template(rows, tokenize=False, add_generation_prompt=ask)
    except TemplateError as error:  # some templates refuse a system message, and say so by raising
        roles = ", ".join(message.role for message in messages)
        raise UserError(f"the model's chat template refuses a conversation of {roles} ({error}).") from error
    assert isinstance(rendered, str)
    return rendered


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A chat template writes its own special tokens, so the tokenizer must not add a second beginning-of-text."""
    # It would say that a text exceeds the context, which callers look at themselves.
    ids = tokenizer.encode(text, add_special_tokens=not tokenizer.chat_template, verbose=False)
    assert isinstance(ids, list)
    return ids


def reply_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_ids: list[int], reply: str) -> list[int]:
    """The reply's share of the tokens of the whole text, where these begin with the prompt's tokens.

    Where a token would straddle the border the reply is encoded alone: a policy samples after the prompt's tokens.
    """
    whole = encode(tokenizer, prompt + reply)
    if whole[: len(prompt_ids)] == prompt_ids:
        return whole[len(prompt_ids) :]
    alone = tokenizer.encode(reply, add_special_tokens=False)
    assert isinstance(alone, list)
    return alone
