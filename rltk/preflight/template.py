"""Whether a chat template renders what is asked, opens the assistant's turn, and ends it in a token that stops."""

from collections.abc import Iterator, Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase

from rltk.models.load import local_path
from rltk.preflight.found import Found
from rltk.recipe.schema import Model

QUESTION, REPLY = "What is six times seven?", "It is 42."


def check_template(tokenizer: PreTrainedTokenizerBase, stops: Sequence[int]) -> list[Found]:
    if not tokenizer.chat_template:
        return [Found("note", "the tokenizer has no chat template: prompts are plain text", kind="no_template")]
    asked = [{"role": "user", "content": QUESTION}]
    try:
        opened, closed = (render(tokenizer, asked, add_generation_prompt=opens) for opens in (True, False))
    except TemplateError as error:
        return [Found("error", f"the chat template refuses a user's message: {error}", kind="template_refuses")]
    return [*of_question(tokenizer, opened, closed), *of_reply(tokenizer, asked, stops)]


def render(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], **options: Any) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert isinstance(text, str)
    return text


def of_question(tokenizer: PreTrainedTokenizerBase, opened: str, closed: str) -> Iterator[Found]:
    if QUESTION not in opened:
        yield Found("error", "the chat template leaves the question out of the prompt", kind="template_drops")
    if opened == closed:
        yield Found("warning", "the chat template does not open the assistant's turn", kind="template_opens_nothing")
    ids = tokenizer.encode(opened, add_special_tokens=False)
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        yield Found("error", "the chat template begins with two beginning-of-text tokens", kind="template_begins_twice")


def of_reply(tokenizer: PreTrainedTokenizerBase, asked: list[dict[str, str]], stops: Sequence[int]) -> Iterator[Found]:
    """What follows a reply is what a policy learned to end with."""
    try:
        whole = render(tokenizer, [*asked, {"role": "assistant", "content": REPLY}])
    except TemplateError as error:
        yield Found("warning", f"the chat template refuses a reply ({error})", kind="template_refuses_reply")
        return
    _, is_there, ending = whole.rpartition(REPLY)
    if not is_there:
        yield Found("error", "the chat template leaves the reply out", kind="template_drops_reply")
        return
    after = tokenizer.encode(ending, add_special_tokens=False) if ending else []
    if not after:
        yield Found("warning", "the chat template ends a reply with nothing, so none may learn to end", kind="no_end")
    elif not set(after) & set(stops):
        shown = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(list(stops))))
        yield Found(
            "error",
            f"the chat template ends a reply with {ending!r}, which holds none of the stop tokens {shown}: no "
            "completion would end; correct eos_token_id in the model's generation_config.json",
            kind="template_never_stops",
        )


def stops_without_weights(model: Model, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What `rltk.models.load.stop_tokens` will find once the model is there."""
    try:
        generation = GenerationConfig.from_pretrained(local_path(model.path), revision=model.revision or "main")
    except OSError:  # the file is optional
        generation = GenerationConfig()
    found: set[int] = set()
    for ids in (generation.eos_token_id, config.get_text_config().eos_token_id, tokenizer.eos_token_id):
        if ids is not None:
            found.update(int(stop) for stop in ([ids] if isinstance(ids, int) else ids))
    return sorted(found)
