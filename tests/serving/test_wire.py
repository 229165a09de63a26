"""What a request may hold; whatever this server does not do is refused by its name."""

import json
from typing import Any

import pytest

from rltk.serving.wire import ApiError, ChatRequest, CompletionRequest, LoadRequest, parse

MESSAGES = [{"role": "user", "content": "2 + 3?"}]


def completion(**keys: Any) -> CompletionRequest:
    return parse(CompletionRequest, json.dumps({"model": "m", "prompt": "a", **keys}).encode())


def chat(**keys: Any) -> ChatRequest:
    return parse(ChatRequest, json.dumps({"model": "m", "messages": MESSAGES, **keys}).encode())


def test_what_is_not_said_is_as_in_openais_api() -> None:
    asked = completion()
    assert (asked.max_tokens, asked.n, asked.temperature, asked.top_p, asked.stop) == (16, 1, 1.0, 1.0, ())
    nothing = dict.fromkeys(("stop", "seed", "logprobs", "logit_bias", "suffix", "best_of", "echo", "n"))
    assert completion(**nothing) == asked
    neutral = {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "suffix": "", "best_of": 1}
    assert completion(**neutral, user="me").max_tokens == 16
    assert completion(repetition_penalty=1.0, stop_token_ids=[7]).stop_token_ids == (7,)


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("ab", ["ab"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_a_prompt_is_text_or_tokens_one_or_many(prompt: Any, prompts: Any) -> None:
    assert completion(prompt=prompt).prompts == prompts


def test_a_message_is_text_or_parts_of_text() -> None:
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "3?"}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages[0].text == "2 + 3?"


@pytest.mark.parametrize(
    ("keys", "param", "said"),
    [
        ({"logit_bias": {"5": 1}}, "logit_bias", "takes none"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "less than or equal to 0"),
        ({"repetition_penalty": 1.1}, "repetition_penalty", "less than or equal to 1"),
        ({"vllm_xargs": {"stream_seed": 1, "stream_row": 0.5}}, "vllm_xargs", "integer"),
        ({"echo": True}, "echo", "False"),
        ({"best_of": 2}, "best_of", "1"),
        ({"ignore_eos": True}, "ignore_eos", "not something this server does"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"temperature": 1e-38}, "temperature", "must be at least 1e-06, or 0"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"max_tokens": 1.5}, "max_tokens", "integer"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"logprobs": 21}, "logprobs", "less than or equal to 20"),
        ({"stop": [""]}, "stop", "at least 1"),
        ({"prompt": []}, "prompt", "none of them empty"),
        ({"prompt": [-1]}, "prompt", "from 0 on"),
        ({"prompt": 7}, "prompt", "must be a text"),
        ({"stream_options": {"include_usage": True}}, None, "stream = true only"),
    ],
)
def test_what_is_wrong_is_named(keys: dict[str, Any], param: str | None, said: str) -> None:
    with pytest.raises(ApiError) as caught:
        completion(**keys)
    answer = caught.value.to_json()["error"]
    assert caught.value.status == 400
    assert (answer["type"], answer["param"]) == ("invalid_request_error", param)
    assert said in answer["message"]


@pytest.mark.parametrize(
    ("keys", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"top_logprobs": 2}, None),
    ],
)
def test_what_is_wrong_with_a_chat_is_named(keys: dict[str, Any], param: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        chat(**keys)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"lora_name": ""}', b"[" * 5000])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse(LoadRequest, body)
    assert caught.value.status == 400
