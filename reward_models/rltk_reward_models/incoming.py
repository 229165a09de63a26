"""One connection of a listener: requests within bounds of size and time in, answers in JSON out.

What a server answers is its subclass's: `paths`, `get`, `post` and `told`. Whatever is wrong with a request is raised
as `RefusedError`, and answered.
"""

import io
import json
import logging
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    from rltk_reward_models.listener import Listener

log = logging.getLogger(__name__)
CHUNK = 65_536
DISCARDED = 16
"""A body of up to so many times the limit is read and thrown away, so that its sender reads our answer."""
OPEN = "/health"
"""The path that answers without a token."""
STRANGE = (
    "without a token only this machine's own programs are answered, not a page of another host (the header Origin) nor "
    "requests for another name than 127.0.0.1, ::1 or localhost (the header Host); start the server with a token"
)
HEADERS = {503: ("Retry-After", "1"), 401: ("WWW-Authenticate", "Bearer")}


class RefusedError(Exception):
    """An answer that says what is wrong."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class DeadlineReader(io.RawIOBase):
    """Bytes of a socket until a moment. A timeout alone would start anew with every byte of a slow client."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.deadline = connection, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client took too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)


class Incoming(BaseHTTPRequestHandler, ABC):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body leave together.
    paths: ClassVar[Mapping[str, str]]
    """The method that each takes."""

    @abstractmethod
    def get(self) -> None:
        """Answers a GET of one of `paths`."""

    @abstractmethod
    def post(self, body: bytes) -> None:
        """Answers a POST to one of them."""

    def told(self, refusal: RefusedError) -> Any:
        """What is sent as JSON."""
        return {"error": refusal.message}

    def allowed(self, method: str) -> str | None:
        """The method that the path asked for takes; None where there is no such path."""
        return self.paths.get(self.route)

    def setup(self) -> None:
        super().setup()
        self.listener = cast("Listener", self.server)
        self.bounds = self.listener.bounds
        self.reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self.reader)

    def handle_one_request(self) -> None:
        self.reader.deadline = time.monotonic() + self.bounds.idle_seconds
        super().handle_one_request()

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # Its unread body would be taken for the next request.

        def answer() -> None:
            self._check("GET")
            self.get()

        self._answer(answer)

    def do_POST(self) -> None:
        def answer() -> None:
            length = self._length()
            try:
                self._check("POST")
                if not self.listener.places.acquire(blocking=False):
                    raise RefusedError(503, "too many requests are under way; come again")
            except RefusedError:
                self._discard(length)
                raise
            try:
                self.post(self._body(length))
            finally:
                self.listener.places.release()

        self._answer(answer)

    def handle_expect_100(self) -> bool:
        """At once: the client waits for it before it sends the body."""
        is_on = super().handle_expect_100()
        self.wfile.flush()
        return is_on

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses: bad request lines, long headers, unknown methods."""
        self.close_connection = True
        self.request_version = self.protocol_version  # or who sent no version would get no status
        self.fail(RefusedError(code, message or HTTPStatus(code).phrase))

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]

    def is_gone(self) -> bool:
        """Whether the client has closed its end: there is something to read, and it is nothing."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        try:
            has_ended = bool(poll.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True
        return has_ended and not self.listener.is_closing  # which has ended the reading itself

    def fail(self, refusal: RefusedError) -> None:
        self.reply(refusal.status, self.told(refusal))

    def reply(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        try:
            self.connection.settimeout(self.bounds.body_seconds)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in self._extra_headers(status):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:  # The client has left, or does not read.
            self.close_connection = True

    def _extra_headers(self, status: int) -> list[tuple[str, str]]:
        found = [HEADERS[status]] if status in HEADERS else []
        if status == 405:
            found.append(("Allow", self.paths[self.route]))
        return [*found, ("Connection", "close")] if self.close_connection else found

    def _answer(self, answer: Callable[[], None]) -> None:
        """Whatever goes wrong is answered, unless nobody is there to read it."""
        try:
            answer()
        except RefusedError as refusal:
            self.fail(refusal)
        except OSError:  # The client has left, or does not read.
            self.close_connection = True

    def _check(self, method: str) -> None:
        """Who asks, path, token and method, in this order."""
        if not self.listener.trusts(self.headers.get_all("Host", []), self.headers.get_all("Origin", [])):
            raise RefusedError(403, STRANGE)
        allowed = self.allowed(method)
        if allowed is None:
            raise RefusedError(404, f"no such path; there are {', '.join(self.paths)}")
        if self.route != OPEN and not self.listener.knows(self.headers.get("Authorization")):
            raise RefusedError(401, "the header Authorization: Bearer TOKEN is missing or wrong")
        if allowed != method:
            raise RefusedError(405, f"{self.route} takes {allowed}")

    def _length(self) -> int:
        told = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not told:
            raise self._last(411, "the header Content-Length is needed")
        # int() would also take +5, 1_0 and digits of other scripts, and a number too long to be read.
        if len(told) > 1 or not (told[0].isascii() and told[0].isdigit() and len(told[0]) < 19):
            raise self._last(400, "the header Content-Length is not one number")
        length, limit = int(told[0]), self.bounds.request_bytes
        if length > limit:
            self._discard(min(length, DISCARDED * limit))
            raise self._last(413, f"the body has {length} bytes; at most {limit} are taken")
        return length

    def _body(self, length: int) -> bytes:
        self.reader.deadline = time.monotonic() + self.bounds.body_seconds
        try:
            body = self.rfile.read(length)
        except TimeoutError as error:
            raise self._last(408, "the body took too long to arrive") from error
        if len(body) < length:
            raise self._last(400, f"the body ended after {len(body)} of {length} bytes")
        return body

    def _discard(self, length: int) -> None:
        """Reads and forgets the body, as long as it arrives in time."""
        self.reader.deadline = time.monotonic() + self.bounds.body_seconds
        try:
            while length > 0 and (chunk := self.rfile.read(min(CHUNK, length))):
                length -= len(chunk)
        except OSError:
            self.close_connection = True

    def _last(self, status: int, message: str) -> RefusedError:
        """An answer after which the connection cannot be used."""
        self.close_connection = True
        return RefusedError(status, message)
