"""What the server answers on a connection: completions in JSON or as server-sent events, and which models there are."""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import unquote

from rltk_reward_models.incoming import Incoming, RefusedError

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
MODELS = "/v1/models"


class Handler(Incoming):
    paths: ClassVar[Mapping[str, str]] = {
        "/health": "GET",
        MODELS: "GET",
        "/v1/completions": "POST",
        "/v1/chat/completions": "POST",
        "/v1/load_lora_adapter": "POST",
        "/v1/unload_lora_adapter": "POST",
    }

    def setup(self) -> None:
        super().setup()
        self.ours = cast("ApiServer", self.server)

    def handle_one_request(self) -> None:
        self.has_begun = False
        super().handle_one_request()

    def allowed(self, method: str) -> str | None:
        is_model = method == "GET" and self.route.startswith(f"{MODELS}/")
        return "GET" if is_model else super().allowed(method)

    def told(self, refusal: RefusedError) -> Any:
        return (refusal if isinstance(refusal, ApiError) else ApiError(refusal.status, refusal.message)).to_json()

    def fail(self, refusal: RefusedError) -> None:
        if self.has_begun:  # too late for a status
            self._last_words(refusal)
        else:
            super().fail(refusal)

    def get(self) -> None:
        if self.route == "/health":
            if not self.ours.is_healthy:
                raise RefusedError(503, "the decoding thread has ended")
            self.reply(200, {"status": "ok"})
        elif self.route == MODELS:
            self.reply(200, {"object": "list", "data": self.ours.service.models()})
        else:
            name = unquote(self.route.removeprefix(f"{MODELS}/"))
            self.reply(200, self.ours.service.describe(name, self.ours.service.find(name)))

    def post(self, body: bytes) -> None:
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
                self.reply(200, f"Success: LoRA adapter '{order.lora_name}' added successfully.")
            case _:
                order = parse(UnloadRequest, body)
                service.remove(order.lora_name)
                self.reply(200, f"Success: LoRA adapter '{order.lora_name}' removed successfully.")

    def _complete(self, answer: Any, *, is_stream: bool) -> None:
        if not is_stream:
            self.reply(200, answer.whole(self.is_gone))
            return
        pieces = answer.pieces(self.is_gone)
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

    def _last_words(self, refusal: RefusedError) -> None:
        self.close_connection = True
        try:
            self._chunk(f"data: {json.dumps(self.told(refusal))}\n\n")
            self._chunk("")
        except OSError:
            log.debug("the client had left")


def events(pieces: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Server-sent events, one a piece, and the mark that ends them."""
    for piece in pieces:
        yield f"data: {json.dumps(piece)}\n\n"
    yield "data: [DONE]\n\n"
