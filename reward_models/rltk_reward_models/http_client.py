"""Connections to one HTTP server, and patience with one that is away; needs neither torch nor any other package."""

import random
import threading
import time
from http.client import HTTPConnection, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlsplit

RETRIED = (408, 429, 502, 503, 504)
"""Statuses of a server that is away or busy."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0


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

    def exchange(self, method: str, path: str, body: bytes | None) -> Reply:
        """One request and its answer; OSError or HTTPException where there is none."""
        connection = self._take()
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
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
        while self._idle:
            self._take().close()

    def _take(self) -> HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> HTTPConnection:
        made = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return made(str(self._parts.hostname), self._parts.port, timeout=self._timeout)


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
