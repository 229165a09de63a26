"""The scoring server: what it answers, to whom, and what it refuses; over real sockets."""

import http.client
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from rltk_reward_models.address import check_token, is_loopback
from rltk_reward_models.conversations import CutOff
from rltk_reward_models.protocol import Limits
from rltk_reward_models.scorer import Scorer
from rltk_reward_models.serve import main
from rltk_reward_models.server import ScoringServer

from tests.reward_models.processes import Server, Servers
from tests.reward_models.test_scorer import talks

TOKEN = "correct-horse-battery"


@contextmanager
def serving(scorer: Scorer, **options: Any) -> Iterator[ScoringServer]:
    server = ScoringServer(scorer, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Status, answer and headers; a body that is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), response.headers
    finally:
        connection.close()


def raw(port: int, data: bytes) -> bytes:
    """What the server says to these bytes until it ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def scorer(reward_model: Path) -> Scorer:
    return Scorer.load(reward_model)


@pytest.fixture(scope="module")
def server(reward_model: Path) -> Iterator[ScoringServer]:
    limits = Limits(request_bytes=20_000, items=8, characters=3000, idle_seconds=1.0, body_seconds=0.5)
    with serving(Scorer.load(reward_model), limits=limits) as running:
        yield running


def port_of(server: ScoringServer) -> int:
    return server.server_address[1]


def test_every_form_of_an_item_is_scored_as_in_this_process(server: ScoringServer, scorer: Scorer):
    messages = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "yes"}]
    items = [
        {"messages": messages},
        {"prompt": "what", "reply": "yes"},
        {"prompt": messages[:1], "reply": "yes"},
        {"text": "<|user|>what<|assistant|>yes<|end|>"},
        {"text": "ok " * 900},
    ]
    status, answer, _ = ask(port_of(server), "POST", "/score", {"items": items})
    expected = list(scorer.scores([messages, "ok " * 900]))
    assert status == 200 and answer["model"] == scorer.identity.model
    assert answer["scores"] == pytest.approx([expected[0].score] * 4 + [expected[1].score], abs=1e-5)
    assert answer["truncated"] == [False] * 4 + [True]
    assert answer["tokens"] == [expected[0].tokens] * 4 + [expected[1].tokens]


def test_a_reply_that_was_cut_off_is_scored_without_its_end(server: ScoringServer, scorer: Scorer):
    messages = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "yes"}]
    items = [
        {"messages": messages, "is_cut_off": True},
        {"prompt": "what", "reply": "yes", "is_cut_off": True},
        {"prompt": messages[:1], "reply": "yes", "is_cut_off": True},
        {"text": "<|user|>what<|assistant|>yes"},
        {"prompt": "what", "reply": "yes", "is_cut_off": False},
        {"text": "<|user|>what<|assistant|>yes<|end|>"},
    ]
    status, answer, _ = ask(port_of(server), "POST", "/score", {"items": items})
    cut, whole = scorer.scores([CutOff(messages), messages])
    assert status == 200 and cut.tokens == whole.tokens - 1
    assert answer["scores"] == pytest.approx([cut.score] * 4 + [whole.score] * 2, abs=1e-5)
    assert answer["tokens"] == [cut.tokens] * 4 + [whole.tokens] * 2
    assert abs(cut.score - whole.score) > 0.01


def test_no_items_have_no_scores(server: ScoringServer):
    assert ask(port_of(server), "POST", "/score", {"items": []})[1]["scores"] == []


def test_health_and_info(server: ScoringServer, scorer: Scorer):
    assert ask(port_of(server), "GET", "/health")[:2] == (200, {"status": "ok"})
    status, info, _ = ask(port_of(server), "GET", "/info")
    assert status == 200 and info["limits"]["items"] == 8 and info["takes_cut_off"] is True
    assert (info["name"], info["model"], info["base"], info["max_length"]) == (*scorer.identity[:3], 512)


ONE = {"text": "a"}
REFUSED = [
    ("POST", "/score", b"{", 400, "not JSON"),
    ("POST", "/score", b"\xff\xfe", 400, "not JSON"),
    ("POST", "/score", b"[" * 15_000, 400, "not JSON"),
    ("POST", "/score", b"", 400, "not JSON"),
    ("POST", "/score", [ONE], 400, "the body must be"),
    ("POST", "/score", {"items": [ONE], "model": "x"}, 400, "the body must be"),
    ("POST", "/score", {"items": ONE}, 400, "the body must be"),
    ("POST", "/score", {"items": [ONE, 5]}, 400, "item 1 must be"),
    ("POST", "/score", {"items": [{"text": "a", "reply": "b"}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [{"text": 5}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [{"prompt": "a", "reply": None}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [{"messages": []}]}, 400, "conversation 0 is empty"),
    ("POST", "/score", {"items": [{"messages": [], "is_cut_off": True}]}, 400, "conversation 0 is empty"),
    (
        "POST",
        "/score",
        {"items": [ONE, {"prompt": "a", "reply": "b", "is_cut_off": 1}]},
        400,
        "item 1: is_cut_off must",
    ),
    ("POST", "/score", {"items": [{"prompt": "a", "reply": "b", "is_cut_off": None}]}, 400, "item 0: is_cut_off must"),
    ("POST", "/score", {"items": [{"text": "a", "is_cut_off": True}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [{"is_cut_off": True}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [{"prompt": "a", "reply": "b", "cut_off": True}]}, 400, "item 0 must be"),
    ("POST", "/score", {"items": [ONE, {"text": ""}]}, 400, "conversation 1 is empty"),
    ("POST", "/score", {"items": [{"messages": ["a"]}]}, 400, "message 0 of conversation 0"),
    ("POST", "/score", {"items": [{"messages": [{"role": "user", "content": 1}]}]}, 400, "message 0 of conversation 0"),
    ("POST", "/score", {"items": [{"messages": [{"role": "u", "content": "a", "x": 1}]}]}, 400, "nothing else"),
    ("POST", "/score", b'{"items": [{"text": "\\ud800"}]}', 400, "surrogate"),
    ("POST", "/score", {"items": [ONE] * 9}, 413, "9 items in one request; at most 8"),
    ("POST", "/score", {"items": [{"text": "a" * 3001}]}, 413, "3001 characters; at most 3000"),
    ("POST", "/score", {"items": [{"text": "a" * 30_000}]}, 413, "at most 20000 are taken"),
    ("POST", "/score", b"a" * 1_000_000, 413, "1000000 bytes"),
    ("GET", "/score", None, 405, "/score takes POST"),
    ("POST", "/health", {}, 405, "/health takes GET"),
    ("GET", "/", None, 404, "no such path"),
    ("POST", "/v1/score", {}, 404, "no such path"),
    ("PUT", "/score", {}, 501, "Unsupported method"),
]


@pytest.mark.parametrize(("method", "path", "body", "expected", "words"), REFUSED)
def test_what_is_wrong_gets_its_status_and_a_sentence(
    server: ScoringServer, method: str, path: str, body: Any, expected: int, words: str
):
    status, answer, headers = ask(port_of(server), method, path, body)
    assert (status, list(answer)) == (expected, ["error"]) and words in answer["error"]
    assert headers["Content-Type"] == "application/json"
    assert (headers["Allow"] is not None) == (status == 405)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health HTTP/9.9\r\n\r\n", b"505"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"POST /score HTTP/1.1\r\n\r\n", b"411"),
        (b"POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /score HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST /score HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde", b"400"),
        (b"POST /score HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", b"400"),
        (b"POST /score HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (b"POST /score HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort", b"408"),
    ],
)
def test_bytes_that_are_no_request_are_answered_and_the_connection_ended(
    server: ScoringServer, data: bytes, expected: bytes
):
    answer = raw(port_of(server), data)
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/"):
        assert head.split()[1] == expected and b"Connection: close" in head
    else:  # a client that names no version gets a body alone
        body = head
    assert list(json.loads(body)) == ["error"]


def test_a_body_that_ends_early_is_refused(server: ScoringServer):
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort")
        connection.shutdown(socket.SHUT_WR)
        assert b"the body ended after 5 of 50 bytes" in b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_body_of_a_get_is_not_taken_for_the_next_request(server: ScoringServer):
    hidden = b"GET /info HTTP/1.1\r\n\r\n"
    answer = raw(port_of(server), b"GET /health HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden)
    assert answer.count(b"HTTP/1.1") == 1


def test_connections_are_used_again_also_after_a_refusal(server: ScoringServer):
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)
    for body, expected in ((b"{", 400), (json.dumps({"items": [ONE]}).encode(), 200)) * 3:
        connection.request("POST", "/score", body)
        response = connection.getresponse()
        response.read()
        assert response.status == expected
        assert connection.sock is not None  # or http.client would have opened another
    connection.close()


def test_a_client_of_one_byte_at_a_time_is_cut_off(server: ScoringServer):
    """Each byte comes well within the timeout; all of them together do not."""
    for start, limit in ((b"GET /hea", 1.0), (b"POST /score HTTP/1.1\r\nContent-Length: 500\r\n\r\n", 0.5)):
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
            connection.sendall(start)
            begun, is_open = time.monotonic(), True
            while is_open and time.monotonic() - begun < 10:
                try:
                    connection.sendall(b"l")
                    connection.settimeout(0.1)
                    is_open = connection.recv(65536) != b""
                except TimeoutError:
                    continue
                except OSError:
                    is_open = False
            assert not is_open and limit * 0.9 <= time.monotonic() - begun < limit + 2


def test_requests_above_the_limit_are_told_to_come_again(scorer: Scorer):
    limits = Limits(requests=1, connections=3, body_seconds=20, idle_seconds=20)
    with serving(scorer, limits=limits) as server, ThreadPoolExecutor() as pool:
        slow = socket.create_connection(("127.0.0.1", port_of(server)), timeout=30)
        slow.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 26\r\n\r\n")
        await_true(lambda: not is_free(server))
        status, answer, headers = ask(port_of(server), "POST", "/score", {"items": [ONE]})
        assert (status, headers["Retry-After"]) == (503, "1") and "come again" in answer["error"]
        again = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=30)
        for method, path, expected in (("POST", "/score", 503), ("GET", "/health", 200)):
            again.request(method, path, b'{"items": [{"text": "a"}]}' if method == "POST" else None)
            response = again.getresponse()
            response.read()
            assert response.status == expected and again.sock is not None
        again.close()
        slow.sendall(b'{"items": [{"text": "a"}]}')
        assert b"200 OK" in slow.recv(65536)
        await_true(lambda: len(server._open) == 1)
        others = [socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) for _ in range(2)]
        await_true(lambda: len(server._open) == 3)
        assert b"503 Service Unavailable" in pool.submit(raw, port_of(server), b"").result()
        for connection in (slow, *others):
            connection.close()
        await_true(lambda: not server._open)
        assert ask(port_of(server), "POST", "/score", {"items": [ONE]})[0] == 200


def is_free(server: ScoringServer) -> bool:
    if server.places.acquire(blocking=False):
        server.places.release()
        return True
    return False


def await_true(claim: Any) -> None:
    for _ in range(500):
        if claim():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


def test_a_token_is_needed_where_there_is_one(scorer: Scorer):
    with serving(scorer, token=TOKEN) as server:
        for headers in ({}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "\xe9"}):
            for method, path in (("POST", "/score"), ("GET", "/info")):
                status, answer, got = ask(port_of(server), method, path, {"items": [ONE]}, headers)
                assert (status, got["WWW-Authenticate"]) == (401, "Bearer") and "scores" not in answer
        assert ask(port_of(server), "GET", "/health")[0] == 200
        assert ask(port_of(server), "POST", "/score", {"items": [ONE]}, {"Authorization": f"Bearer {TOKEN}"})[0] == 200


ELSEWHERE = [
    {"Origin": "http://example.org"},
    {"Origin": "https://127.0.0.1.example.org"},
    {"Origin": "null"},
    {"Host": "example.org"},
    {"Host": "example.org:8100"},
    {"Host": "[::1"},
    {"Host": "192.168.0.1"},
]
HERE = [{"Host": "localhost:1"}, {"Host": "[::1]:8100"}, {"Origin": "http://localhost:3000"}, {"Host": "127.0.0.2"}]


def test_pages_of_other_hosts_are_refused_where_there_is_no_token(server: ScoringServer, scorer: Scorer):
    for headers in ELSEWHERE:
        for method, path in (("POST", "/score"), ("GET", "/info"), ("GET", "/health")):
            status, answer, _ = ask(port_of(server), method, path, {"items": [ONE]}, headers)
            assert status == 403 and "start the server with a token" in answer["error"], headers
    for headers in HERE:
        assert ask(port_of(server), "POST", "/score", {"items": [ONE]}, headers)[0] == 200, headers
    assert b" 200 OK" in raw(port_of(server), b"GET /health HTTP/1.0\r\n\r\n")
    with serving(scorer, token=TOKEN) as known:  # as behind a reverse proxy
        for headers in ELSEWHERE:
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            assert ask(port_of(known), "POST", "/score", {"items": [ONE]}, headers | bearer)[0] == 200, headers
            assert ask(port_of(known), "POST", "/score", {"items": [ONE]}, headers)[0] == 401, headers


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked(server: ScoringServer):
    body = json.dumps({"items": [ONE]}).encode()
    head = b"POST /score HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_other_machines_need_a_token(reward_model: Path, scorer: Scorer, capsys: pytest.CaptureFixture[str]):
    for host in ("0.0.0.0", "", "::", "192.168.0.1", "example.org"):
        assert not is_loopback(host)
        with pytest.raises(ValueError, match="give a token"):
            ScoringServer(scorer, host=host)
        check_token(host, TOKEN)
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    for token in ("", "short", "with spaces in between", "umlaut-\u00fc-umlaut-umlaut"):
        with pytest.raises(ValueError, match="a token needs at least 16"):
            check_token("127.0.0.1", token)
    assert main([str(reward_model), "--host", "0.0.0.0"]) == 2
    assert "give a token" in capsys.readouterr().err


def test_what_cannot_be_served_is_one_sentence(
    server: ScoringServer, scorer: Scorer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    nowhere, taken = str(tmp_path / "nowhere"), str(port_of(server))
    # The port is looked at before the folder, which takes longer.
    for arguments, words in (
        (["--port", "70000"], "no port 70000"),
        (["--port", taken], f"port {taken} of 127.0.0.1"),
        (["--port", "0"], "is not a folder"),
        (["--token-file", nowhere], "No such file"),
    ):
        assert main([nowhere, *arguments]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ") and words in said.err and said.err.count("\n") == 1 and not said.out
    threads = threading.active_count()
    with pytest.raises(OSError):
        ScoringServer(scorer, port=port_of(server))
    assert threading.active_count() == threads


def test_a_failure_of_the_model_is_no_score_and_the_next_request_is_answered(reward_model: Path):
    scorer = Scorer.load(reward_model)
    embeddings = scorer.model.get_parameter("model.embed_tokens.weight")
    nan_id = scorer.tokenizer.encode("z", add_special_tokens=False)[0]
    embeddings.data[nan_id] = torch.nan
    with serving(scorer) as server:
        status, answer, _ = ask(port_of(server), "POST", "/score", {"items": [ONE, {"text": "z"}]})
        assert status == 500 and "conversation 1 scored nan" in answer["error"]
        assert ask(port_of(server), "POST", "/score", {"items": [ONE]})[0] == 200
        embeddings.data = embeddings.data[:, :5]  # now every forward pass fails
        assert ask(port_of(server), "POST", "/score", {"items": [ONE]})[0] == 500
        assert ask(port_of(server), "GET", "/health")[0] == 200


def test_who_has_left_while_waiting_is_not_scored_for(reward_model: Path):
    scorer, read = Scorer.load(reward_model), list[list[int]]()
    begun, go = threading.Event(), threading.Event()

    def look(module: Any, args: Any, given: dict[str, Any]) -> None:
        read.extend(given["input_ids"].tolist())
        begun.set()
        assert go.wait(60)

    scorer.model.register_forward_pre_hook(look, with_kwargs=True)
    with serving(scorer) as server, ThreadPoolExecutor() as pool:
        waiting = server._scoring._jobs
        first = pool.submit(ask, port_of(server), "POST", "/score", {"items": [ONE]})
        assert begun.wait(60)
        body = json.dumps({"items": [{"text": "z"}]}).encode()
        with socket.create_connection(("127.0.0.1", port_of(server)), timeout=30) as leaving:
            leaving.sendall(b"POST /score HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await_true(lambda: waiting.qsize() == 1)
        last = pool.submit(ask, port_of(server), "POST", "/score", {"items": [{"text": "b"}]})
        await_true(lambda: waiting.qsize() == 2)
        go.set()
        assert (first.result()[0], last.result()[0]) == (200, 200)
    assert read == [scorer.encode(text).ids for text in ("a", "b")]


def test_a_server_process_ends_in_order(servers: Servers, reward_model: Path):
    """What it has begun to score is answered though an idle connection is open, and it exits with 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        server = servers.start(reward_model)
        idle = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        body = json.dumps({"items": [{"text": "what is the sum " * 100}] * 100}).encode()
        head = b"POST /score HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head + body)
            time.sleep(0.3)
            os.kill(server.pid, number)
            begun = time.monotonic()
            assert b"200 OK" in connection.recv(65536)
        assert servers.exit_code(server) == 0 and time.monotonic() - begun < 20
        idle.close()
        with pytest.raises(ConnectionError):
            ask(server.port, "GET", "/health")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_scoring_thread_that_dies_leaves_nobody_waiting(reward_model: Path):
    scorer = Scorer.load(reward_model)
    embeddings = scorer.model.get_parameter("model.embed_tokens.weight")
    embeddings.data = embeddings.data[:3]  # looking up any other token is an IndexError, which nobody expects
    with serving(scorer) as server:
        for _ in range(2):
            status, answer, _ = ask(port_of(server), "POST", "/score", {"items": [ONE]})
            assert (status, answer) == (500, {"error": "scoring has ended"})
        await_true(lambda: not server.is_healthy)
        assert ask(port_of(server), "GET", "/health")[0] == 503


def storm(server: Server, scorer: Scorer, requests: int) -> dict[int, int]:
    """16 clients, 5 % malformed and 1 % oversized requests; every answer is checked; how often each status came."""
    pool = talks(200, seed=7, longest=8)
    expected = [one.score for one in scorer.scores(pool)]
    kinds = random.Random(5).choices(["good", "malformed", "oversized"], [94, 5, 1], k=requests)
    counts: dict[int, int] = {}
    lock = threading.Lock()

    def client(number: int) -> None:
        draw = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for kind in kinds[number::16]:
            chosen = draw.sample(range(200), draw.randint(1, 4))
            body = {
                "good": json.dumps({"items": [{"messages": pool[i]} for i in chosen]}).encode(),
                "malformed": draw.choice([b"{", b'{"items": [{"text": ""}]}', b'{"items": 3}', b"\x00" * 50]),
                "oversized": b" " * (4 * 2**20 + 1),
            }[kind]
            connection.request("POST", "/score", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == {"good": 200, "malformed": 400, "oversized": 413}[kind], answer
            if kind == "good":
                assert answer["scores"] == pytest.approx([expected[i] for i in chosen], abs=1e-5)
            with lock:
                counts[response.status] = counts.get(response.status, 0) + 1
        connection.close()

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(client, range(16)))
    return counts


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def test_a_storm_of_requests_mixes_nothing_up(servers: Servers, reward_model: Path, scorer: Scorer):
    server = servers.start(reward_model)
    counts = storm(server, scorer, 1500)
    assert sum(counts.values()) == 1500 and set(counts) == {200, 400, 413}
    assert ask(server.port, "GET", "/health")[0] == 200
    server.kill()


@pytest.mark.slow
def test_ten_thousand_requests_leave_memory_as_it_was(servers: Servers, reward_model: Path, scorer: Scorer):
    server = servers.start(reward_model)
    storm(server, scorer, 3000)
    before = resident_mib(server.pid)
    assert sum(storm(server, scorer, 10_000).values()) == 10_000
    after = resident_mib(server.pid)
    print(f"resident memory: {before:.0f} MiB after 3,000 requests, {after:.0f} MiB after 13,000")
    assert after - before < 30
    server.kill()
