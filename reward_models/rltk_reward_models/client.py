"""Scores from a scoring server, as from a `Scorer` in this process; needs neither torch nor any other package."""

import json
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from rltk_reward_models.conversations import Conversation, CutOff, Scored, characters, check_conversation
from rltk_reward_models.http_client import RETRIED, Connections, Patience, Reply, break_off
from rltk_reward_models.protocol import from_answer, to_items

CHARACTERS = 1_000_000
"""Of the conversations in one request; a longer one goes alone."""


class ServerGoneError(ConnectionError):
    """The server has not answered for longer than the client's patience."""


class RemoteScorer:
    """A scoring server. All scores it gives are of one model: if the server changes its model, that is an error."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        in_flight: int = 4,
        items: int = 32,
        patience: float = 60.0,
        timeout: float = 300.0,
    ) -> None:
        """`items` go in one request; `patience` is how many seconds a request is tried again after it first failed,
        `timeout` how many one answer may take."""
        self._connections = Connections(url, token, timeout=timeout)
        if in_flight < 1 or items < 1:
            raise ValueError(f"in_flight ({in_flight}) and items ({items}) must be at least 1")
        self.url = self._connections.url
        self._in_flight, self._items, self._patience = in_flight, items, patience
        self._model: str | None = None
        self._takes_cut_off = False
        """Known once it is True."""
        self._lock = threading.Lock()

    def info(self) -> dict[str, Any]:
        """What the server says of its model."""
        return self._request("GET", "/info", None, threading.Event())

    def check_takes_cut_off(self) -> None:
        """ValueError for a server that does not know what `CutOff` is."""
        self._check_takes_cut_off(threading.Event())

    def scores(self, conversations: Iterable[Conversation]) -> Generator[Scored, None, None]:
        """In the order given, several requests in flight; ValueError for what the server refuses, ServerGoneError if
        it is away for longer than the client's patience."""
        waiting: deque[Future[list[Scored]]] = deque()
        stop = threading.Event()
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="scores") as pool:
            try:
                for start, chunk in self._chunks(conversations):
                    waiting.append(pool.submit(self._score, start, chunk, stop))
                    if len(waiting) >= 2 * self._in_flight:
                        yield from _first(waiting)
                while waiting:
                    yield from _first(waiting)
            finally:
                break_off(pool, list(waiting), stop, self._connections.abort)
                self._connections.close()

    def _chunks(self, conversations: Iterable[Conversation]) -> Iterator[tuple[int, list[Conversation]]]:
        """Pieces that go in one request, each with the index of its first."""
        start, length, chunk = 0, 0, []
        for index, conversation in enumerate(conversations):
            check_conversation(conversation, index)
            size = characters(conversation)
            if chunk and (len(chunk) == self._items or length + size > CHARACTERS):
                yield start, chunk
                start, length, chunk = index, 0, []
            chunk.append(conversation)
            length += size
        if chunk:
            yield start, chunk

    def _score(self, start: int, chunk: list[Conversation], stop: threading.Event) -> list[Scored]:
        if any(isinstance(conversation, CutOff) for conversation in chunk):
            self._check_takes_cut_off(stop)
        what = f"conversations {start} to {start + len(chunk) - 1}, counted from 0 there"
        answer = self._request("POST", "/score", to_items(chunk), stop, what)
        try:
            scored, model = from_answer(answer, len(chunk))
        except ValueError as error:
            raise ValueError(f"{self.url}: {error}") from error
        self._check_model(model)
        return scored

    def _check_takes_cut_off(self, stop: threading.Event) -> None:
        if self._takes_cut_off:
            return
        info = self._request("GET", "/info", None, stop)
        if not isinstance(info, dict) or info.get("takes_cut_off") is not True:
            raise ValueError(
                f"{self.url} is older than this client and takes no messages that were cut off (is_cut_off), which it "
                "would score as if they had ended; update the server, or send text that has no end"
            )
        self._takes_cut_off = True

    def _check_model(self, model: str) -> None:
        with self._lock:
            before = self._model = self._model or model
        if before != model:
            raise ValueError(
                f"{self.url} changed its model from {before[:12]} to {model[:12]}, and their scores cannot be mixed; "
                "score everything again with a new RemoteScorer"
            )

    def _request(self, method: str, path: str, body: bytes | None, stop: threading.Event, what: str = "") -> Any:
        """The JSON of a successful answer, tried again while the server is away or busy."""
        patience = Patience(self._patience)
        while True:
            try:
                reply = self._connections.exchange(method, path, body)
            except (OSError, HTTPException) as error:
                trouble, wait = f"{type(error).__name__}: {error}", 0.0
            else:
                if reply.status not in RETRIED:
                    return self._read(reply, what)
                trouble, wait = f"status {reply.status}", reply.seconds
            if not patience.waits(stop, at_least=wait):
                raise ServerGoneError(
                    f"{self.url} has given no answer for {self._patience:g} seconds ({trouble}); is it running?"
                )

    def _read(self, reply: Reply, what: str) -> Any:
        try:
            answer = json.loads(reply.body)
        except ValueError as error:
            raise ValueError(f"{self.url} answered {reply.status} and no JSON; is it a scoring server?") from error
        if reply.status != 200:
            message = answer.get("error") if isinstance(answer, dict) else None
            raise ValueError(f"{self.url} refused {what or 'to answer'} ({reply.status}: {message})")
        return answer


def _first(waiting: deque[Future[list[Scored]]]) -> list[Scored]:
    """It stays among those that wait until it is there."""
    scored = waiting[0].result()
    waiting.popleft()
    return scored
