"""Preferences as text and tokens: the prompt begins both sides, and a reply ends where its policy would stop."""

import pytest
from transformers import PreTrainedTokenizerBase

from rltk.data.preference_text import PreferenceText, preference_text, preference_tokens
from rltk.data.preferences import Preference
from rltk.data.problems import Problem
from rltk.data.prompt import PromptRenderer
from rltk.data.transcripts import Message, write_transcript
from rltk.embedded.dialogues import dialogues
from rltk.errors import UserError
from rltk.recipe.schema import Data
from tests import tiny
from tests.data.test_prompt import REFUSES_SYSTEM, bos_tokenizer

PROMPT = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Bye?"))
PAIR = Preference("a", PROMPT, "Bye!", "No.")
QUESTION = Preference("a", (Message("user", "What is 2"),), " is 2", "2")
LINE_END = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
THINKS = LINE_END.replace("<|assistant|>{% endif", "<|assistant|><think>{% endif")


def tokenizer(template: str | None) -> PreTrainedTokenizerBase:
    tokens = tiny.tokenizer()
    tokens.chat_template = template
    return tokens


def test_a_chat_template_writes_the_turns() -> None:
    prompt = "<|user|>Hi<|assistant|>Hello<|end|><|user|>Bye?<|assistant|>"
    assert preference_text(PAIR, tiny.tokenizer()) == PreferenceText(prompt, "Bye!<|end|>", "No.<|end|>")


def test_what_a_template_writes_after_the_end_of_text_is_cut_off() -> None:
    text = preference_text(PAIR._replace(rejected=""), tokenizer(LINE_END))
    prompt = "<|user|>Hi<|end|>\n<|assistant|>Hello<|end|>\n<|user|>Bye?<|end|>\n<|assistant|>"
    assert text == PreferenceText(prompt, "Bye!<|end|>", "<|end|>")


def test_a_template_whose_prompt_does_not_begin_its_conversations_is_refused() -> None:
    with pytest.raises(UserError, match=r"does not begin a conversation with the prompt .*<think>"):
        preference_text(PAIR, tokenizer(THINKS))


def test_a_template_that_refuses_a_role_says_so() -> None:
    pair = PAIR._replace(prompt=(Message("system", "a"), Message("user", "b")))
    with pytest.raises(UserError, match=r"refuses a conversation of system, user \(no system role\)"):
        preference_text(pair, bos_tokenizer(REFUSES_SYSTEM))


def test_without_a_template_a_preference_is_a_transcript() -> None:
    text = preference_text(PAIR, tokenizer(None))
    assert text == PreferenceText(
        "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye?\n\nAssistant:", " Bye!<|end|>", " No.<|end|>"
    )
    assert text.prompt + text.chosen == write_transcript((*PROMPT, Message("assistant", "Bye!"))) + "<|end|>"


def test_without_a_template_a_question_is_asked_as_problems_are() -> None:
    for system in (None, "Be brief."):
        messages = (*([Message("system", system)] if system else []), *QUESTION.prompt)
        text = preference_text(QUESTION._replace(prompt=messages), tokenizer(None), plain="question")
        asked = PromptRenderer(tokenizer(None), Data(path="embedded/word-problems", system=system))
        assert text.prompt == asked.text(Problem("a", "What is 2", "2"))
        assert text[1:] == (" is 2<|end|>", "2<|end|>")
    with pytest.raises(UserError, match="a conversation of 3 turns is no single question; render it as a transcript"):
        preference_text(PAIR, tokenizer(None), plain="question")


def test_the_beginning_of_text_is_there_once_and_no_unknown_end() -> None:
    plain = preference_tokens(QUESTION, bos_tokenizer(), plain="question")
    assert plain == ([1, 5, 6, 7], [6, 7], [7])


@pytest.mark.parametrize("template", [tiny.tokenizer().chat_template, LINE_END, None], ids=["own", "line end", "plain"])
def test_the_prompt_is_a_true_prefix_of_both_sides(template: str) -> None:
    tokens = tokenizer(template)
    pairs = [Preference(*pair[:4]) for pair in dialogues("test", 100)] + [PAIR._replace(rejected="")]
    for pair in pairs:
        text, ids = preference_text(pair, tokens), preference_tokens(pair, tokens)
        for side, said in ((ids.chosen, text.chosen), (ids.rejected, text.rejected)):
            assert tokens.decode(ids.prompt + side) == text.prompt + said
            assert tokens.encode(text.prompt + said, add_special_tokens=False) == ids.prompt + side
            assert side[-1] == tokens.eos_token_id


def test_a_reply_that_would_merge_with_its_prompt_is_encoded_alone() -> None:
    """ " app" and "les" as one text are a single token; a policy that was given " app" writes "les" after it."""
    tokens = tokenizer(None)
    pair = Preference("a", (Message("user", "Tom has app"),), "les", "le")
    whole, prompt = (tokens.encode(text, add_special_tokens=False) for text in ("Tom has apples", "Tom has app"))
    assert whole[: len(prompt)] != prompt, "this tokenizer merges them"
    ids = preference_tokens(pair, tokens, plain="question")
    assert ids.prompt == prompt
    assert tokens.decode(ids.prompt + ids.chosen) == "Tom has apples<|end|>"
    assert tokens.decode(ids.prompt + ids.rejected) == "Tom has apple<|end|>"
