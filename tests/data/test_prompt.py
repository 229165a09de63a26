"""The prompt: with and without a chat template, no special token twice, and none that is too long."""

from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from rltk.data.problems import Problem
from rltk.data.prompt import PromptRenderer, completion_text, render_all
from rltk.errors import UserError
from rltk.recipe.schema import Data
from tests import tiny

PROBLEM = Problem("train/7", "What is {2} and 5?", "7")
BOS, TEMPLATE = "<s>", "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + TEMPLATE


def data(**values: Any) -> Data:
    return Data(path="embedded/word-problems", **values)


def bos_tokenizer(template: str | None = None) -> PreTrainedTokenizerBase:
    """One that puts a beginning-of-text before whatever it encodes, as Llama's does."""
    words = ["[UNK]", BOS, "[user]", "[assistant]", "[system]", "What", "is", "2"]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token=BOS,
        unk_token="[UNK]",
        extra_special_tokens=["[user]", "[assistant]", "[system]"],
        chat_template=template,
    )
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 1)])
    return tokenizer


def test_a_chat_template_wraps_the_question_and_opens_the_answer() -> None:
    renderer = PromptRenderer(tiny.tokenizer(), data(prompt="Q: {question}\nThink."))
    assert renderer.text(PROBLEM) == "<|user|>Q: What is {2} and 5?\nThink.<|assistant|>"
    assert tiny.tokenizer().decode(renderer.tokens(PROBLEM)) == renderer.text(PROBLEM)


def test_a_system_message_comes_first() -> None:
    with_template = PromptRenderer(tiny.tokenizer(), data(system="Be brief."))
    assert with_template.text(PROBLEM) == "<|system|>Be brief.<|user|>What is {2} and 5?<|assistant|>"
    assert PromptRenderer(bos_tokenizer(), data(system="Be brief.")).text(PROBLEM) == "Be brief.\n\nWhat is {2} and 5?"


def test_without_a_template_the_question_is_plain_text() -> None:
    assert PromptRenderer(bos_tokenizer(), data()).text(PROBLEM) == "What is {2} and 5?"


@pytest.mark.parametrize("template", [TEMPLATE, None], ids=["template", "plain"])
def test_the_beginning_of_text_is_there_once(template: str | None) -> None:
    tokenizer = bos_tokenizer(template)
    assert tokenizer.encode("What")[0] == 1, "this tokenizer adds it"
    tokens = PromptRenderer(tokenizer, data()).tokens(PROBLEM._replace(question="What is 2"))
    assert tokens == ([1, 2, 5, 6, 7, 3] if template else [1, 5, 6, 7])


def test_a_template_that_takes_no_system_message_says_so() -> None:
    renderer = PromptRenderer(bos_tokenizer(REFUSES_SYSTEM), data(system="Be brief."))
    with pytest.raises(UserError, match=r"the model's chat template refuses the prompt \(no system role\); see data"):
        renderer.tokens(PROBLEM)
    assert PromptRenderer(bos_tokenizer(REFUSES_SYSTEM), data()).tokens(PROBLEM)


def test_a_prompt_may_fill_the_context_to_the_last_token_and_no_further() -> None:
    renderer = PromptRenderer(tiny.tokenizer(), data())
    length = len(renderer.tokens(PROBLEM))
    assert len(render_all(renderer, [PROBLEM], max_new_tokens=10, context=length + 10)) == 1
    assert len(render_all(renderer, [PROBLEM], max_new_tokens=10, context=None)) == 1
    said = rf"train/7 has {length} prompt tokens, and with rollout.max_new_tokens = 10 that exceeds .* {length + 9}\."
    with pytest.raises(UserError, match=said):
        render_all(renderer, [PROBLEM], max_new_tokens=10, context=length + 9)


def test_a_completion_is_read_without_special_tokens() -> None:
    tokenizer = tiny.tokenizer()
    tokens = tokenizer.encode("So #### 7<|end|>", add_special_tokens=False)
    assert completion_text(tokenizer, torch.tensor(tokens)) == "So #### 7"
