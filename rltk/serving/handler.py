"""One connection of the server: HTTP in, an answer in JSON or as server-sent events out."""

import io
import json
import logging
import select
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from rltk_reward_models.handler import DeadlineReader

from rltk.serving.wire import (
    ApiError,
    ChatRequest,
    CompletionRequest,
    LoadRequest,
    UnloadRequest,
    parse,
)

if TYPE_CHECKING:
    from rltk.serving.server import ApiServer

log = logging.getLogger(__name__)
CHUNK = 65_536
DISCARDED = 16
"""A body of up to so many times the limit is read and thrown away, so that its sender reads our answer."""
MODELS = "/v1/models"
PATHS = {
    "/health": "GET",
    MODELS: "GET",
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/load_lora_adapter": "POST",
    "/v1/unload_lora_adapter": "POST",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body leave together.

    def setup(self) -> None:
        super().setup()
        self.ours = cast("ApiServer", self.server)
        self.reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self.reader)

    def handle_one_request(self) -> None:
        self.has_begun = False
        self.reader.deadline = time.monotonic() + self.ours.limits.idle_seconds
        super().handle_one_request()

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # Its unread body would be taken for the next request.
        self._answer(lambda: self._get())

    def do_POST(self) -> None:
        def read_and_post() -> None:
            body = self._body()
            self._refuse("POST")
            if not self.ours.places.acquire(blocking=False):
                raise ApiError(503, "too many requests are under way; come again")
            try:
                self._post(body)
            finally:
                self.ours.places.release()

        self._answer(read_and_post)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses: bad request lines, long headers, unknown methods."""
        self.close_connection = True
        self.request_version = self.protocol_version  # or who sent no version would get no status
        self._fail(ApiError(code, message or HTTPStatus(code).phrase))

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]

    def _get(self) -> None:
        self._refuse("GET")
        if self.route == "/health":
            if not self.ours.is_healthy:
                raise ApiError(503, "the decoding thread has ended")
            self._reply(200, {"status": "ok"})
        elif self.route == MODELS:
            self._reply(200, {"object": "list", "data": self.ours.service.models()})
        else:
            name = unquote(self.route.removeprefix(f"{MODELS}/"))
            self._reply(200, self.ours.service.describe(name, self.ours.service.find(name)))

    def _post(self, body: bytes) -> None:
        service = self.ours.service
        match self.route:
            case "/v1/completions":
                request = parse(CompletionRequest, body)
                self._complete(service.ask_completion(request), is_stream=request.stream)
            case "/v1/chat/completions":
                request = parse(ChatRequest, body)
                self._complete(service.ask_chat(request), is_stream=request.stream)
            case "/v1/load_lora_adapter":
                order = parse(LoadRequest, body)
                service.add(order.lora_name, order.lora_path, replaces=order.load_inplace)
                self._reply(200, f"Success: LoRA adapter '{order.lora_name}' added successfully.")
            case _:
                order = parse(UnloadRequest, body)
                service.remove(order.lora_name)
                self._reply(200, f"Success: LoRA adapter '{order.lora_name}' removed successfully.")

    def _complete(self, answer: Any, *, is_stream: bool) -> None:
        if not is_stream:
            self._reply(200, answer.whole(self._is_gone))
            return
        pieces = answer.pieces(self._is_gone)
        self.connection.settimeout(self.ours.limits.body_seconds)
        try:
            for event in events(pieces):
                if not self.has_begun:
                    self._begin_stream()
                self._chunk(event)
            self._chunk("")
        finally:
            pieces.close()

    def _begin_stream(self) -> None:
        self.has_begun = True
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/event-stream; charset=utf-8"),
            ("Cache-Control", "no-cache"),
            ("Transfer-Encoding", "chunked"),
        ):
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, text: str) -> None:
        """A part of the body; an empty one ends it."""
        data = text.encode("utf-8")
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _answer(self, what: Any) -> None:
        """Whatever goes wrong is answered, unless nobody is there to read it."""
        try:
            what()
        except ApiError as error:
            if self.has_begun:  # too late for a status
                self._last_words(error)
            else:
                self._fail(error)
        except OSError:  # The client has left, or does not read.
            self.close_connection = True

    def _last_words(self, error: ApiError) -> None:
        self.close_connection = True
        try:
            self._chunk(f"data: {json.dumps(error.to_json())}\n\n")
            self._chunk("")
        except OSError:
            log.debug("the client had left")

    def _refuse(self, method: str) -> None:
        is_model = method == "GET" and self.route.startswith(f"{MODELS}/")
        allowed = "GET" if is_model else PATHS.get(self.route)
        if allowed is None:
            raise ApiError(404, f"no such path; there are {', '.join(PATHS)}")
        if self.route != "/health" and not self.ours.knows(self.headers.get("Authorization")):
            raise ApiError(401, "the header Authorization: Bearer TOKEN is missing or wrong", code="invalid_api_key")
        if allowed != method:
            raise ApiError(405, f"{self.route} takes {allowed}")

    def _body(self) -> bytes:
        length = self._length()
        self.reader.deadline = time.monotonic() + self.ours.limits.body_seconds
        try:
            body = self.rfile.read(length)
        except TimeoutError as error:
            raise self._last(408, "the body took too long to arrive") from error
        if len(body) < length:
            raise self._last(400, f"the body ended after {len(body)} of {length} bytes")
        return body

    def _length(self) -> int:
        told = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not told:
            raise self._last(411, "the header Content-Length is needed")
        # int() would also take +5, 1_0 and digits of other scripts, and a number too long to be read.
        if len(told) > 1 or not (told[0].isascii() and told[0].isdigit() and len(told[0]) < 19):
            raise self._last(400, "the header Content-Length is not one number")
        length, limit = int(told[0]), self.ours.limits.request_bytes
        if length > limit:
            self._discard(min(length, DISCARDED * limit))
            raise self._last(413, f"the body has {length} bytes; at most {limit} are taken")
        return length

    def _discard(self, length: int) -> None:
        """Reads and forgets the body, as long as it arrives in time."""
        self.reader.deadline = time.monotonic() + self.ours.limits.body_seconds
        while length > 0 and (chunk := self.rfile.read(min(CHUNK, length))):
            length -= len(chunk)

    def _last(self, status: int, message: str) -> ApiError:
        """An answer after which the connection cannot be used."""
        self.close_connection = True
        return ApiError(status, message)

    def _is_gone(self) -> bool:
        """Whether the client has closed its end: there is something to read, and it is nothing."""
        if self.ours.is_closing:  # which has ended the reading itself
            return False
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _fail(self, error: ApiError) -> None:
        self._reply(error.status, error.to_json())

    def _reply(self, status: int, answer: Any) -> None:
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
            found.append(("Allow", PATHS[self.route]))
        return [*found, ("Connection", "close")] if self.close_connection else found


def events(pieces: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Server-sent events, one a piece, and the mark that ends them."""
    for piece in pieces:
        yield f"data: {json.dumps(piece)}\n\n"
    yield "data: [DONE]\n\n"
