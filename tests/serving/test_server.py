"""The server in a process of its own, asked with the real `openai` client; what it answers is what the engine gives."""

import http.client
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from torch import Tensor

from rltk.cli import main
from rltk.rollout.sampler import Sampling
from tests import tiny
from tests.forked import forked
from tests.serving import made

NAMES = ["base", *made.KINDS]
PROMPTS = [[7, 8, 9], [20, 21, 22, 23, 24, 25], [40], [11, 30, 12]]
TOKENS = 12


@pytest.fixture(scope="module")
def url(folders: dict[str, Path]) -> Iterator[str]:
    adapters = [f"{name}={folders[name]}" for name in made.KINDS]
    options = ["--port", "0", "--dtype", "float32", "--batch", "24"]
    pid, said = forked(["serve", str(folders["base"]), *adapters, *options])
    first = said.readline()
    assert first.startswith(f"serving {', '.join(NAMES)} at http://127.0.0.1:"), first + said.read()
    yield first.split()[-1]
    os.kill(pid, signal.SIGTERM)
    assert said.read() == "ended\n"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture(scope="module")
def client(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="none is needed here", max_retries=0, timeout=600)


def words(tokens: Sequence[int] | Tensor) -> str:
    ids = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
    return str(tiny.tokenizer().decode(ids, skip_special_tokens=True))


IDS: dict[str, Any] = {"return_token_ids": True}


def test_models_are_the_base_and_its_adapters(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == NAMES
    assert client.models.retrieve("attention").model_dump()["parent"] == "base"
    with pytest.raises(NotFoundError, match="did you mean attention"):
        client.models.retrieve("atention")


def test_sampled_tokens_and_log_probabilities_are_the_engines(client: OpenAI, folders: dict[str, Path]) -> None:
    sampling = Sampling(TOKENS, temperature=0.8, top_p=0.9)
    expected = [one for group in made.alone(folders, "all", PROMPTS, 2, sampling, seed=5) for one in group]
    answer = client.completions.create(
        model="all",
        prompt=PROMPTS,
        n=2,
        max_tokens=TOKENS,
        temperature=0.8,
        top_p=0.9,
        seed=5,
        logprobs=3,
        extra_body=IDS,
    )
    assert [choice.index for choice in answer.choices] == list(range(8))
    for choice, rollout in zip(answer.choices, expected, strict=True):
        found = choice.model_dump()
        assert found["token_ids"] == rollout.tokens_T.tolist()
        assert found["prompt_token_ids"] == PROMPTS[choice.index // 2]
        assert choice.text == words(rollout.tokens_T)
        assert choice.finish_reason == ("length" if rollout.is_truncated else "stop")
        assert choice.logprobs is not None and choice.logprobs.token_logprobs is not None
        assert choice.logprobs.token_logprobs == pytest.approx(rollout.logprobs_T.tolist(), abs=1e-4)
        found_words, tops = choice.logprobs.tokens or [], choice.logprobs.top_logprobs or []
        for token, logprob, top in zip(found_words, choice.logprobs.token_logprobs, tops, strict=True):
            assert top[token] == logprob
            assert 1 <= len(top) <= 4
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(map(len, PROMPTS))
    assert answer.usage.completion_tokens == sum(len(rollout.tokens_T) for rollout in expected)


def test_thirty_two_at_once_over_four_adapters_give_what_each_gives_alone(
    client: OpenAI, folders: dict[str, Path]
) -> None:
    expected = {name: made.alone(folders, name, PROMPTS, 1, Sampling(TOKENS, 0.0)) for name in made.KINDS}
    jobs = [(name, at) for at in range(len(PROMPTS)) for name in made.KINDS] * 2
    assert len(jobs) == 32

    def ask(job: tuple[str, int]) -> list[int]:
        name, at = job
        answer = client.completions.create(
            model=name, prompt=PROMPTS[at], max_tokens=TOKENS, temperature=0, extra_body=IDS
        )
        return answer.choices[0].model_dump()["token_ids"]

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(ask, jobs))
    assert found == [expected[name][at][0].tokens_T.tolist() for name, at in jobs]
    assert len({tuple(tokens) for tokens in found}) > len(PROMPTS), "the adapters differ"


def test_a_stream_is_the_whole_in_pieces(client: OpenAI) -> None:
    keys: dict[str, Any] = {"model": "all", "prompt": "What is 3 + 4?", "n": 2, "max_tokens": TOKENS, "seed": 3}
    whole = client.completions.create(**keys, logprobs=0, extra_body=IDS)
    texts, tokens, logprobs, endings = ["", ""], [[], []], [[], []], ["", ""]
    usage = None
    options: dict[str, Any] = {"stream_options": {"include_usage": True}, "extra_body": IDS}
    for chunk in client.completions.create(**keys, logprobs=0, stream=True, **options):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            tokens[choice.index] += choice.model_dump()["token_ids"]
            assert choice.logprobs is not None
            logprobs[choice.index] += choice.logprobs.token_logprobs or []
            endings[choice.index] = choice.finish_reason or endings[choice.index]
    assert texts == [choice.text for choice in whole.choices]
    assert tokens == [choice.model_dump()["token_ids"] for choice in whole.choices]
    assert logprobs == [pytest.approx(c.logprobs.token_logprobs, abs=1e-4) for c in whole.choices if c.logprobs]
    assert endings == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage


def test_a_chat_goes_through_the_template(client: OpenAI, folders: dict[str, Path]) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is 3 + 4?"}]
    rendered = tiny.tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = tiny.tokenizer().encode(str(rendered), add_special_tokens=False)
    [[rollout]] = made.alone(folders, "attention", [prompt], 1, Sampling(TOKENS, 0.0))
    keys: dict[str, Any] = {"model": "attention", "messages": messages, "temperature": 0, "max_tokens": TOKENS}
    answer = client.chat.completions.create(**keys, logprobs=True, top_logprobs=2, extra_body=IDS)
    [choice] = answer.choices
    assert choice.message.role == "assistant" and choice.message.content == words(rollout.tokens_T)
    assert answer.model_dump()["prompt_token_ids"] == prompt
    assert choice.logprobs is not None and choice.logprobs.content is not None
    found = [token.logprob for token in choice.logprobs.content]
    assert found == pytest.approx(rollout.logprobs_T.tolist(), abs=1e-4)
    for token in choice.logprobs.content:  # greedy: what was taken is the likeliest
        likeliest = token.top_logprobs[0]
        assert (likeliest.token, likeliest.logprob) == (token.token, pytest.approx(token.logprob, abs=1e-5))
        assert token.bytes == list(token.token.encode())
    chunks = [chunk.choices[0] for chunk in client.chat.completions.create(**keys, stream=True)]
    assert "".join(chunk.delta.content or "" for chunk in chunks) == choice.message.content
    assert chunks[0].delta.role == "assistant"
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [choice.finish_reason]


def test_text_ends_before_a_stop_string(client: OpenAI) -> None:
    keys: dict[str, Any] = {"model": "base", "prompt": [7, 8, 9], "max_tokens": 40, "temperature": 0}
    whole = client.completions.create(**keys).choices[0].text
    stop = whole[5:8]
    [choice] = client.completions.create(**keys, stop=[stop, "never there"]).choices
    assert (choice.text, choice.finish_reason) == (whole.partition(stop)[0], "stop")


def test_an_adapter_comes_and_goes_while_it_is_in_use(client: OpenAI, url: str, folders: dict[str, Path]) -> None:
    long: dict[str, Any] = {"prompt": [7, 8, 9], "max_tokens": 300, "temperature": 0, "extra_body": IDS}
    expected = client.completions.create(model="stabilized", **long).choices[0].model_dump()["token_ids"]
    load = {"lora_name": "late", "lora_path": str(folders["stabilized"])}
    assert post(url, "/load_lora_adapter", load)[0] == 200
    assert post(url, "/load_lora_adapter", load)[0] == 400
    assert "late" in [model.id for model in client.models.list()]
    tokens: list[int] = []
    with client.completions.create(model="late", **long, stream=True) as stream:
        for chunk in stream:
            if not tokens:
                assert post(url, "/unload_lora_adapter", {"lora_name": "late"})[0] == 200
                with pytest.raises(NotFoundError):
                    client.completions.create(model="late", prompt="a")
                other = {"lora_name": "late", "lora_path": str(folders["attention"])}
                assert post(url, "/load_lora_adapter", other)[0] == 200
            tokens += chunk.choices[0].model_dump()["token_ids"]
    assert tokens == expected
    other = client.completions.create(model="late", **long).choices[0].model_dump()["token_ids"]
    assert other == client.completions.create(model="attention", **long).choices[0].model_dump()["token_ids"]
    assert post(url, "/unload_lora_adapter", {"lora_name": "late"})[0] == 200
    assert post(url, "/unload_lora_adapter", {"lora_name": "late"})[0] == 404
    assert post(url, "/unload_lora_adapter", {"lora_name": "base"})[0] == 400
    for path, said in ((folders["base"], "no adapter"), (folders["base"] / "absent", "not a folder")):
        status, answer = post(url, "/load_lora_adapter", {"lora_name": "odd", "lora_path": str(path)})
        assert status == 400 and said in answer["error"]["message"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"r": "x"}, "r = 'x' is not a whole number"),
        ({"r": None}, "r = None is not"),
        ({"r": 2.5}, "r = 2.5 is not"),
        ({"r": [1]}, r"r = [1] is not"),
        ({"lora_alpha": None}, "lora_alpha = None is not a number"),
        ({"target_modules": 5}, "target_modules = 5 is not"),
        ({"target_modules": "("}, "target_modules = '(' is not"),
        ({"target_modules": "nobody"}, "could not be loaded"),
        ({"base_model_name_or_path": 5}, "base_model_name_or_path = 5 is not a text"),
        ({"revision": 5}, "revision = 5 is not a text"),
        ({"alpha_pattern": {"(": 1}}, "alpha_pattern = {'(': 1} is not"),
        ({"layers_to_transform": "x"}, "could not be loaded"),
    ],
)
def test_a_damaged_adapter_is_refused_and_the_server_lives_on(
    url: str, folders: dict[str, Path], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = shutil.copytree(folders["all"], tmp_path / "odd")
    config = json.loads((path / "adapter_config.json").read_text()) | changes
    (path / "adapter_config.json").write_text(json.dumps(config))
    status, answer = post(url, "/load_lora_adapter", {"lora_name": "odd", "lora_path": str(path)})
    assert status == 400 and said in answer["error"]["message"], answer
    assert get(url, "/health") == (200, {"status": "ok"})


def test_what_vllm_has_beside_openai(client: OpenAI, url: str, folders: dict[str, Path]) -> None:
    keys: dict[str, Any] = {"model": "all", "max_tokens": TOKENS, "logprobs": 0}
    whole = client.completions.create(**keys, prompt=PROMPTS, n=2, seed=5, extra_body=IDS).choices
    cut = {"vllm_xargs": {"stream_seed": 5, "stream_row": 4}, "return_tokens_as_token_ids": True}
    part = client.completions.create(**keys, prompt=PROMPTS[2:], n=2, extra_body={**IDS, **cut}).choices
    found = [choice.model_dump()["token_ids"] for choice in part]
    assert found == [choice.model_dump()["token_ids"] for choice in whole[4:]]
    assert [choice.logprobs.tokens for choice in part if choice.logprobs] == [
        [f"token_id:{token}" for token in tokens] for tokens in found
    ]
    stop = found[0][2]
    stopping = {**IDS, "vllm_xargs": cut["vllm_xargs"], "stop_token_ids": [stop]}
    [first, _] = client.completions.create(**keys, prompt=PROMPTS[2], n=2, extra_body=stopping).choices
    assert first.model_dump()["token_ids"] == found[0][: found[0].index(stop) + 1]
    assert first.finish_reason == "stop"
    for kind in ("attention", "patterns"):  # the second in place of the first
        order = {"lora_name": "swap", "lora_path": str(folders[kind]), "load_inplace": True}
        assert post(url, "/load_lora_adapter", order)[0] == 200
    greedy: dict[str, Any] = {"prompt": [7, 8, 9], "max_tokens": TOKENS, "temperature": 0}
    swapped, patterns = (
        client.completions.create(model=name, **greedy).choices[0].text for name in ("swap", "patterns")
    )
    assert swapped == patterns
    assert post(url, "/unload_lora_adapter", {"lora_name": "swap"})[0] == 200
    order = {"lora_name": "base", "lora_path": str(folders["all"]), "load_inplace": True}
    assert post(url, "/load_lora_adapter", order)[0] == 400
    assert client.models.retrieve("base").model_dump()["max_model_len"] == 512


def test_who_leaves_stops_being_decoded_for(client: OpenAI, url: str) -> None:
    """The batch has 24 places: if those who left kept theirs, this would take a minute and not a moment."""
    for _ in range(3):
        stream = client.completions.create(model="base", prompt="a", n=24, max_tokens=500, stream=True)
        next(iter(stream))
        stream.close()
    assert client.completions.create(model="base", prompt="a", max_tokens=1).usage is not None
    assert get(url, "/health") == (200, {"status": "ok"})


def test_what_is_refused_is_refused_as_openai_does(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="the model nobody does not exist") as absent:
        client.completions.create(model="nobody", prompt="a")
    assert (absent.value.code, absent.value.param) == ("model_not_found", "model")
    with pytest.raises(BadRequestError, match="context has 512 tokens") as long:
        client.completions.create(model="base", prompt="a", max_tokens=5000)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(BadRequestError, match="is not one of the model's"):
        client.completions.create(model="base", prompt=[10**6])
    with pytest.raises(BadRequestError, match="logit_bias"):
        client.completions.create(model="base", prompt="a", logit_bias={"5": 1})
    with pytest.raises(BadRequestError, match="at most 24 a prompt"):
        client.completions.create(model="base", prompt="a", n=25)
    with pytest.raises(BadRequestError, match="no tokens"):
        client.completions.create(model="base", prompt="")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 9\r\n\r\nnot json!", 400),
        (b"POST /v1/completions HTTP/1.1\r\n\r\n", 411),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n{}", 413),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{}", 400),
        (b"GET /v1/completions HTTP/1.1\r\n\r\n", 405),
        (b"GET /v1/nothing HTTP/1.1\r\n\r\n", 404),
        (b"PUT /v1/models HTTP/1.1\r\n\r\n", 501),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_malformed_and_oversized_requests_get_an_error_in_json(url: str, request_: bytes, status: int) -> None:
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port)), timeout=300) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


def post(url: str, path: str, body: Any) -> tuple[int, Any]:
    return send(url, "POST", path, json.dumps(body))


def get(url: str, path: str) -> tuple[int, Any]:
    return send(url.removesuffix("/v1"), "GET", path, None)


def send(url: str, method: str, path: str, body: str | None) -> tuple[int, Any]:
    host, _, prefix = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=600)
    connection.request(method, f"/{prefix}{path}" if prefix else path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["{base}", "--host", "0.0.0.0"], "lets other machines connect; give a token"),
        (["{base}", "--port", "70000"], "there is no port 70000"),
        (["{base}", "--token-file", "/absent"], "--token-file /absent cannot be read"),
        (["{base}/absent"], "does not exist"),
        (["{all}", "{all}"], "two adapters would be called all"),
        (["base={all}"], "an adapter would be called base, like its base"),
        (["{all}", "embedded/policy"], "stands on embedded/policy"),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(
    folders: dict[str, Path], argv: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(word.format(**folders) for word in argv)]) == 2
    printed = capfd.readouterr()
    assert said in printed.err and printed.err.count("\n") == 1 and printed.out == ""
