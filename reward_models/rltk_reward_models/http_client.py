"""Connections to one HTTP server, and patience with one that is away; needs neither torch nor any other package."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

RETRIED = (408, 429, 502, 503, 504)
"""Statuses of a server that is away or busy."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
CONNECT_SECONDS = 10.0
"""For a connection to come about, however long an answer may take: until then it cannot be ended."""
LOOK_SECONDS = 0.05
"""How often it is looked whether all threads have noticed that nobody waits for them."""


class Reply(NamedTuple):
    status: int
    retry_after: str | None
    body: bytes

    @property
    def seconds(self) -> float:
        """A Retry-After in seconds; 0 if there is none, or it is a date."""
        return float(self.retry_after) if self.retry_after and self.retry_after.isdecimal() else 0.0


class Connections:
    """As many as there are requests at once; they stay open for the next ones until `close`."""

    def __init__(self, url: str, token: str | None, *, timeout: float) -> None:
        """`timeout` is how many seconds one answer may take."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a server; give one such as http://127.0.0.1:8100")
        self.url, self._parts, self._token, self._timeout = url.rstrip("/"), parts, token, timeout
        self._idle: list[HTTPConnection] = []
        self._busy: set[socket.socket] = set()

    def exchange(self, method: str, path: str, body: bytes | None) -> Reply:
        """One request and its answer; OSError or HTTPException where there is none."""
        connection = self._take()
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            with self._under_way(connection):
                connection.request(method, f"{self._parts.path.rstrip('/')}{path}", body, headers)
                response = connection.getresponse()
                reply = Reply(response.status, response.getheader("Retry-After"), response.read())
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Those that nobody uses at the moment; a server would close them too, if later."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def abort(self) -> None:
        """Ends the requests under way, whose threads get an OSError or HTTPException at once."""
        for taken in list(self._busy):
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(taken, socket.SHUT_RDWR)  # not TLS's own, which would forget its keys meanwhile

    @contextmanager
    def _under_way(self, connection: HTTPConnection) -> Iterator[None]:
        """It is open within, and `abort` ends it."""
        if connection.sock is None:
            connection.connect()
        taken = connection.sock  # the connection itself forgets it when the server will close it
        assert taken is not None
        taken.settimeout(self._timeout)
        self._busy.add(taken)
        try:
            yield
        finally:
            self._busy.discard(taken)

    def _take(self) -> HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._made()

    def _made(self) -> HTTPConnection:
        made = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        shortly = min(CONNECT_SECONDS, self._timeout)
        return made(str(self._parts.hostname), self._parts.port, timeout=shortly)


def break_off(
    pool: ThreadPoolExecutor, futures: Sequence["Future[Any]"], stop: threading.Event, abort: Callable[[], None]
) -> None:
    """Returns when no request of these futures waits or is under way; those that were have failed."""
    stop.set()
    pool.shutdown(wait=False, cancel_futures=True)
    while not all(future.done() for future in futures):
        abort()  # again and again: a thread may begin one more request before it sees `stop`
        time.sleep(LOOK_SECONDS)


class Patience:
    """Another attempt after a while, twice as long each time, until so many seconds have passed since the first."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._delay = seconds, FIRST_DELAY
        self._deadline: float | None = None

    def waits(self, stop: threading.Event, *, at_least: float = 0.0) -> bool:
        """Returns when it is time for another attempt; False where there is to be none, or `stop` was set."""
        # Not all the same, or all clients of a server that was away come back at once.
        wait = max(self._delay, at_least) * random.uniform(0.5, 1.0)
        now = time.monotonic()
        self._deadline = now + self.seconds if self._deadline is None else self._deadline
        self._delay = min(2 * self._delay, LONGEST_DELAY)
        return now + wait <= self._deadline and not stop.wait(wait)
