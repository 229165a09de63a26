"""One connection of the scoring server: every request is answered in JSON, with the status it deserves."""

import io
import json
import logging
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast

from rltk_reward_models.protocol import TooLargeError, from_items, to_answer

if TYPE_CHECKING:
    from rltk_reward_models.server import ScoringServer

log = logging.getLogger(__name__)
CHUNK = 65_536
DISCARDED = 16
"""A body of up to so many times the limit is read and thrown away, so that its sender reads our answer."""
PATHS = {"/score": "POST", "/health": "GET", "/info": "GET"}


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


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body leave together.

    def setup(self) -> None:
        super().setup()
        self.ours = cast("ScoringServer", self.server)
        self.reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self.reader)

    def handle_one_request(self) -> None:
        self.reader.deadline = time.monotonic() + self.ours.limits.idle_seconds
        super().handle_one_request()

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # Its unread body would be taken for the next request.
        if refusal := self._refusal("GET"):
            self._fail(*refusal)
        elif self._path() == "/info":
            self._reply(200, {**self.ours.identity._asdict(), "limits": vars(self.ours.limits)})
        elif self.ours.is_healthy:
            self._reply(200, {"status": "ok"})
        else:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, "the scoring thread has ended")

    def do_POST(self) -> None:
        if (length := self._length()) is None:
            return
        refusal = self._refusal("POST")
        if refusal is None and self.ours.places.acquire(blocking=False):
            try:
                self._score(length)
            finally:
                self.ours.places.release()
            return
        self._discard(length)
        self._fail(*(refusal or (HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are under way; come again")))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses: bad request lines, long headers, unknown methods."""
        self.close_connection = True
        self._fail(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _refusal(self, method: str) -> tuple[HTTPStatus, str] | None:
        """What is wrong with path, token or method."""
        allowed = PATHS.get(self._path())
        if allowed is None:
            return HTTPStatus.NOT_FOUND, f"no such path; there are {', '.join(PATHS)}"
        if self._path() != "/health" and not self.ours.knows(self.headers.get("Authorization")):
            return HTTPStatus.UNAUTHORIZED, "the header Authorization: Bearer TOKEN is missing or wrong"
        if allowed != method:
            return HTTPStatus.METHOD_NOT_ALLOWED, f"{self._path()} takes {allowed}"
        return None

    def _length(self) -> int | None:
        """Bytes of the body; None, and an answer, if they are not told or too many."""
        told = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not told:
            self._last(HTTPStatus.LENGTH_REQUIRED, "the header Content-Length is needed")
            return None
        # int() would also take +5, 1_0 and digits of other scripts, and a number too long to be read.
        if len(told) > 1 or not (told[0].isascii() and told[0].isdigit() and len(told[0]) < 19):
            self._last(HTTPStatus.BAD_REQUEST, "the header Content-Length is not one number")
            return None
        length, limit = int(told[0]), self.ours.limits.request_bytes
        if length > limit:
            self._discard(min(length, DISCARDED * limit))
            self._last(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {length} bytes; at most {limit} are taken")
            return None
        return length

    def _score(self, length: int) -> None:
        self.reader.deadline = time.monotonic() + self.ours.limits.body_seconds
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            self._last(HTTPStatus.REQUEST_TIMEOUT, "the body took too long to arrive")
            return
        if len(body) < length:
            self._last(HTTPStatus.BAD_REQUEST, f"the body ended after {len(body)} of {length} bytes")
            return
        try:
            scored = self.ours.submit(from_items(body, self.ours.limits)).result()
        except TooLargeError as error:
            self._fail(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except ValueError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
        except RuntimeError as error:
            log.error("%s", error)
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        else:
            self._reply(200, to_answer(scored, self.ours.identity.model))

    def _discard(self, length: int) -> None:
        """Reads and forgets the body, as long as it arrives in time."""
        self.reader.deadline = time.monotonic() + self.ours.limits.body_seconds
        try:
            while length > 0 and (chunk := self.rfile.read(min(CHUNK, length))):
                length -= len(chunk)
        except OSError:
            self.close_connection = True

    def _last(self, status: HTTPStatus, message: str) -> None:
        """An answer after which the connection cannot be used."""
        self.close_connection = True
        self._fail(status, message)

    def _fail(self, status: HTTPStatus, message: str) -> None:
        self._reply(status, {"error": message})

    def _reply(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        try:
            self.connection.settimeout(self.ours.limits.body_seconds)
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
        by_status = {503: ("Retry-After", "1"), 401: ("WWW-Authenticate", "Bearer")}
        found = [by_status[status]] if status in by_status else []
        if status == 405:
            found.append(("Allow", PATHS[self._path()]))
        return [*found, ("Connection", "close")] if self.close_connection else found
