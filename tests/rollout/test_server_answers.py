"""What a server's answer has to hold to be trained on; hand-written answers in vLLM's form."""

from typing import Any

import pytest

from rltk.rollout.servers.answer import read_answer
from rltk.rollout.servers.server import AwayError

PROMPT, STOPS = [5, 6], (2, 3)


def choice(place: int, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "index": place,
        "text": "x",
        "finish_reason": "stop",
        "logprobs": {"token_logprobs": [-0.5, -1.5]},
        "token_ids": [10 + place, 2],
        "prompt_token_ids": PROMPT,
    }
    return {key: value for key, value in (made | changes).items() if value is not ...}


def test_completions_come_in_the_order_of_their_count() -> None:
    cut = choice(0, finish_reason="length", token_ids=[10, 11])
    first, second = read_answer({"choices": [choice(1), cut]}, PROMPT, 2, STOPS)
    assert (first.tokens_T.tolist(), first.is_truncated) == ([10, 11], True)
    assert (second.tokens_T.tolist(), second.is_truncated) == ([11, 2], False)
    assert second.logprobs_T.tolist() == [-0.5, -1.5]


def test_a_completion_ends_where_its_numbers_do() -> None:
    for odd in (None, float("nan"), float("-inf")):
        [found] = read_answer({"choices": [choice(0, logprobs={"token_logprobs": [-0.5, odd]})]}, PROMPT, 1, STOPS)
        assert (found.tokens_T.tolist(), found.is_broken, found.is_truncated) == ([10], True, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"token_ids": ...}, "no token_ids"),
        ({"token_ids": [10]}, "2 log-probabilities for 1 tokens"),
        ({"token_ids": [10, 11]}, "without the token that stopped it"),
        ({"token_ids": [], "logprobs": {"token_logprobs": []}}, "without the token that stopped it"),
        ({"prompt_token_ids": [5, 7]}, "another prompt"),
        ({"logprobs": None}, "another form"),
        ({"index": 1}, "1 completions for 1"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_answer({"choices": [choice(0, **changes)]}, PROMPT, 1, STOPS)


@pytest.mark.parametrize("answer", ["text", {"object": "error"}, {"choices": None}, {"choices": [{"index": 0}]}])
def test_another_form_is_no_answer(answer: Any) -> None:
    with pytest.raises(ValueError, match="another form"):
        read_answer(answer, PROMPT, 1, STOPS)


def test_what_the_server_broke_off_is_asked_again() -> None:
    with pytest.raises(AwayError, match="abort"):
        read_answer({"choices": [choice(0, finish_reason="abort")]}, PROMPT, 1, STOPS)
