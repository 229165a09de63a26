"""The service in this process: what one request or order cannot do to the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rltk.evaluation.target import find_target
from rltk.rollout.sampler import Sampling, uniforms
from rltk.serving.batch import groups_of
from rltk.serving.choose import Served
from rltk.serving.job import Job
from rltk.serving.open import open_service
from rltk.serving.service import Service
from rltk.serving.wire import ApiError, CompletionRequest, Limits


@pytest.fixture
def service(folders: dict[str, Path]) -> Iterator[Service]:
    target = find_target(str(folders["base"]))
    base = target.model.model_copy(update={"dtype": "float32"})
    service = open_service(Served(base, "base", {}, target.rollout), Limits(batch=24))
    yield service
    service.scheduler.close()


def request(**keys: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model": "base", "prompt": [7, 8, 9], **keys})


def fail(error: BaseException) -> None:
    raise error


def test_an_order_that_fails_has_failed_alone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (TypeError("an odd value"), AttributeError("an odd value"), IndexError("an odd value")):
        monkeypatch.setattr(service, "load", lambda folder, error=error: fail(error))
        with pytest.raises(ApiError, match=r"loading failed .*: an odd value") as caught:
            service.add("odd", "folder")
        assert caught.value.status == 500 and service.scheduler.is_alive
    assert service.ask_completion(request(max_tokens=2)).whole(lambda: False)["choices"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_the_decoding_thread_is_told_to_who_comes_later(service: Service) -> None:
    future = service.scheduler.between_steps(lambda: fail(KeyboardInterrupt()))
    with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
        future.result()
    for _ in range(2):
        with pytest.raises(ApiError, match="the decoding thread has ended") as caught:
            service.ask_completion(request(max_tokens=2)).whole(lambda: False)
        assert caught.value.status == 503 and not service.scheduler.is_alive


def test_who_leaves_is_not_decoded_for_though_tokens_keep_coming(service: Service) -> None:
    answer = service.ask_completion(request(n=24, max_tokens=500))
    with pytest.raises(ConnectionAbortedError):
        answer.whole(lambda: True)
    assert sum(len(choice.tokens) for choice in answer.choices) < 24 * 500
    assert answer.job.cancelled == set(range(24))


def test_a_job_that_waits_holds_no_random_numbers(service: Service) -> None:
    job = Job([[7], [8]], 2, Sampling(5), seed=3, row=1, adapter=None)
    groups = groups_of(job)
    assert "uniforms_BT" not in vars(job)
    service.scheduler.between_steps(lambda: service.scheduler.batch.enter(groups)).result()
    assert torch.equal(vars(job)["uniforms_BT"], uniforms(5, 5, seed=3)[1:])


@pytest.mark.parametrize("keys", [{}, {"vllm_xargs": {"stream_seed": 1, "stream_row": 0}}])
def test_random_numbers_of_one_request_are_bounded(
    service: Service, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    monkeypatch.setattr(service, "context", None)
    with pytest.raises(ApiError, match="20 completions of 2000000 tokens are over 33554432 in all") as caught:
        service.ask_completion(request(n=20, max_tokens=2_000_000, **keys))
    assert (caught.value.status, caught.value.param) == (400, "max_tokens")
