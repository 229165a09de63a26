"""The client of the scoring server: same scores as in this process, patience with a server that comes back, and a
clear error with one that does not."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest
from rltk_reward_models.client import RemoteScorer, ServerGoneError
from rltk_reward_models.conversations import Conversation, CutOff
from rltk_reward_models.protocol import Limits
from rltk_reward_models.scorer import Scorer
from rltk_reward_models.server import ScoringServer

from tests.reward_models import models
from tests.reward_models.processes import Servers
from tests.reward_models.test_scorer import talks
from tests.reward_models.test_server import TOKEN, port_of, serving


@pytest.fixture(scope="module")
def scorer(reward_model: Path) -> Scorer:
    return Scorer.load(reward_model)


@pytest.fixture(scope="module")
def server(reward_model: Path) -> Iterator[ScoringServer]:
    with serving(Scorer.load(reward_model)) as running:
        yield running


def test_scores_are_those_of_the_scorer(server: ScoringServer, scorer: Scorer):
    cut_off = [CutOff(one) for one in talks(20, seed=2)]
    conversations = [*talks(100, seed=1), *cut_off, "some text", "ok " * 1000]
    expected, found = list(scorer.scores(conversations)), list(RemoteScorer(server.url, items=7).scores(conversations))
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-5)
    assert [one[1:] for one in found] == [one[1:] for one in expected]
    assert found[-1].is_truncated
    assert RemoteScorer(server.url).info()["model"] == scorer.identity.model


def test_several_requests_are_in_flight_and_only_so_many_are_read_ahead():
    """The server answers once three requests wait for it, and never has a fourth."""
    with answering_in_threes() as (url, waiting):
        read: list[Conversation] = []
        source = (read.append(one) or one for one in talks(200, longest=5))
        scores = RemoteScorer(url, in_flight=3, items=2).scores(source)
        assert len(list(islice(scores, 1))) == 1
        # Six requests of two, and one more conversation to know that a request is full.
        assert len(read) == 13
        scores.close()
        assert max(waiting) == 3


@contextmanager
def answering_in_threes() -> Iterator[tuple[str, list[int]]]:
    """Its address, and how many requests it had whenever another one had come."""
    waiting, three, turn = [0], threading.Barrier(3), threading.Lock()
    answer = {"scores": [0.0, 0.0], "tokens": [1, 1], "truncated": [False, False], "model": "0" * 64}

    class InThrees(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with turn:
                waiting.append(waiting[-1] + 1)
            try:
                three.wait(60)
            except threading.BrokenBarrierError:
                return
            with turn:
                waiting.append(waiting[-1] - 1)
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with running(InThrees) as url:
        yield url, waiting
        three.abort()


def test_long_conversations_are_spread_over_requests(reward_model: Path, scorer: Scorer):
    """120 texts of 20,000 characters are 2.4 MB, more than the server takes at once."""
    with serving(Scorer.load(reward_model, max_length=8), limits=Limits(request_bytes=1_100_000)) as server:
        assert len(list(RemoteScorer(server.url, items=300).scores(["ok yes " * 2900] * 120))) == 120


def test_what_the_server_refuses_is_an_error_that_says_where(server: ScoringServer):
    with pytest.raises(ValueError, match="conversation 3 is empty"):
        list(RemoteScorer(server.url).scores(["a", "b", "c", ""]))
    with pytest.raises(ValueError, match=r"refused conversations 2 to 3, counted from 0 there .413: item 1 has 300000"):
        list(RemoteScorer(server.url, items=2).scores(["a", "b", "c", "d" * 300_000]))


def test_a_server_that_knows_no_cut_off_replies_is_named_and_not_asked(scorer: Scorer):
    """As servers were before: /info says nothing of it."""
    question, reply = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    with older_server() as (url, asked):
        for check in (
            lambda: RemoteScorer(url).check_takes_cut_off(),
            lambda: list(RemoteScorer(url).scores([CutOff([question, reply])])),
        ):
            with pytest.raises(
                ValueError, match=rf"{url} is older than this client and takes no messages that were cut"
            ):
                check()
        assert asked == ["/info", "/info"]


@contextmanager
def older_server() -> Iterator[tuple[str, list[str]]]:
    """Its address, and the paths that it has been asked for."""
    asked: list[str] = []

    class Older(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"name": "older", "model": "0" * 64, "limits": {}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(400)

    with running(Older) as url:
        yield url, asked


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers so."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://", ""])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="not the address of a server"):
        RemoteScorer(url)


def test_the_token_is_sent(scorer: Scorer):
    with serving(scorer, token=TOKEN) as server:
        assert len(list(RemoteScorer(server.url, TOKEN).scores(["a"]))) == 1
        for token in (None, TOKEN[::-1]):
            with pytest.raises(ValueError, match=r"refused .*401"):
                list(RemoteScorer(server.url, token).scores(["a"]))


def test_a_busy_server_is_asked_again(scorer: Scorer):
    with serving(scorer, limits=Limits(requests=1)) as server:
        server.places.acquire()
        threading.Timer(0.5, server.places.release).start()
        begun = time.monotonic()
        assert len(list(RemoteScorer(server.url).scores(["a"]))) == 1
        assert time.monotonic() - begun > 0.5


def test_something_else_at_the_address_is_not_asked_for_ever():
    """It accepts and says what is not HTTP; then it answers, but not as a scoring server does."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        answers = iter([b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])

        def answer_two() -> None:
            for answer in answers:
                connection, _ = other.accept()
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=answer_two)
        thread.start()
        with pytest.raises(ValueError, match=r"answered 200 and no JSON; is it a scoring server"):
            list(RemoteScorer(f"http://127.0.0.1:{other.getsockname()[1]}").scores(["a"]))
        thread.join()


def test_a_server_that_is_not_there_is_named(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(ServerGoneError, match=rf"http://127.0.0.1:{port} has given no answer for 1 seconds .*refused"):
        list(RemoteScorer(f"http://127.0.0.1:{port}", patience=1).scores(["a"] * 1000))
    assert time.monotonic() - begun < 3


def test_a_server_killed_in_the_middle_is_named(servers: Servers, reward_model: Path):
    server = servers.start(reward_model)
    scores = RemoteScorer(server.url, items=4, patience=1).scores(talks(4000))
    first = next(scores)
    server.kill()
    with pytest.raises(ServerGoneError, match=f"{server.url} has given no answer"):
        list(scores)
    assert isinstance(first.score, float)


def test_a_server_that_comes_back_loses_nothing(servers: Servers, reward_model: Path, scorer: Scorer):
    conversations = talks(600, seed=4, longest=20)
    server = servers.start(reward_model)
    scores = RemoteScorer(server.url, items=4, patience=30).scores(conversations)
    found = list(islice(scores, 50))
    server.kill()
    restart = threading.Timer(0.5, servers.start, (reward_model,), {"port": server.port})
    restart.start()
    found += scores
    restart.join()
    assert [one.score for one in found] == pytest.approx([one.score for one in scorer.scores(conversations)], abs=1e-5)


def test_a_server_that_comes_back_with_another_model_is_an_error(scorer: Scorer, tmp_path: Path):
    other = Scorer.load(models.whole(tmp_path / "other", seed=1))
    with serving(scorer) as server:
        remote = RemoteScorer(server.url, items=1, in_flight=1)
        assert len(list(remote.scores(["a", "b"]))) == 2
    with serving(other, port=port_of(server)):
        with pytest.raises(ValueError, match=rf"changed its model from {scorer.identity.model[:12]} to "):
            list(remote.scores(["c"]))
        assert len(list(RemoteScorer(server.url).scores(["c"]))) == 1


class EnoughError(Exception):
    """What an alarm raises."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """EnoughError after so many seconds, wherever the main thread is."""

    def be_late(number: int, frame: object) -> None:
        raise EnoughError

    before = signal.signal(signal.SIGALRM, be_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_who_is_interrupted_does_not_wait_for_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = RemoteScorer(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=300)
        begun = time.monotonic()
        with alarm(0.5), pytest.raises(EnoughError):
            list(remote.scores(["a"] * 1000))
        assert time.monotonic() - begun < 60


def test_a_consumer_that_stops_does_not_wait_for_patience():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    remote, begun = RemoteScorer(f"http://127.0.0.1:{port}", patience=1000), time.monotonic()

    def conversations() -> Iterator[Conversation]:
        yield from ["a"] * 40
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(remote.scores(conversations()))
    assert time.monotonic() - begun < 5
