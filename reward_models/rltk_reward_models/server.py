"""An HTTP server that scores: POST /score, GET /health, GET /info; JSON in and out. It needs no other package.

It listens on this machine only, unless given a token. Start it with `python -m rltk_reward_models.serve FOLDER`.
"""

import hmac
import json
import logging
import signal
import socket
import sys
import threading
from concurrent.futures import Future
from http.server import ThreadingHTTPServer
from typing import Any

from rltk_reward_models.address import address_family, check_token
from rltk_reward_models.conversations import Scored
from rltk_reward_models.handler import Handler
from rltk_reward_models.protocol import Limits
from rltk_reward_models.scorer import Scorer
from rltk_reward_models.worker import ScoringThread

log = logging.getLogger(__name__)
BUSY = json.dumps({"error": "too many connections; come again"}).encode()


class ScoringServer(ThreadingHTTPServer):
    """Listens from the moment it is made; `serve_forever` answers, `shutdown` and `server_close` end it in order."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(
        self,
        scorer: Scorer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_token(host, token)
        self.limits, self.token, self.identity = limits or Limits(), token, scorer.identity
        self.address_family = address_family(host)
        self.places = threading.BoundedSemaphore(self.limits.requests)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._scoring = ScoringThread(scorer)
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    @property
    def is_healthy(self) -> bool:
        return self._scoring.is_alive

    def submit(self, conversations: list[Any]) -> "Future[list[Scored]]":
        return self._scoring.submit(conversations)

    def knows(self, authorization: str | None) -> bool:
        """Whether the Authorization header holds the token; takes as long whatever it holds."""
        if self.token is None:
            return True
        return hmac.compare_digest((authorization or "").encode("utf-8"), f"Bearer {self.token}".encode())

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            is_full = len(self._open) >= self.limits.connections
            if not is_full:
                self._open.add(request)
        if is_full:
            _turn_away(request)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of our faults; anything else is."""
        level = logging.DEBUG if isinstance(sys.exc_info()[1], OSError) else logging.ERROR
        log.log(level, "connection lost", exc_info=True)

    def server_close(self) -> None:
        """Answers the requests that have arrived, then ends every connection and the scoring thread."""
        with self._lock:
            for connection in self._open:
                _stop_reading(connection)
        super().server_close()
        self._scoring.close()

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._open.discard(request)


def run(server: ScoringServer) -> None:
    """Serves until SIGTERM or Ctrl-C, then ends in order; call it from the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # `shutdown` waits for the loop to end, which is the thread that a signal interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()


def _turn_away(connection: socket.socket) -> None:
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(BUSY)}\r\nRetry-After: 1\r\nConnection: close"
    try:
        connection.settimeout(0.2)
        connection.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + BUSY)
    except OSError:
        log.debug("turned away a client that had left")


def _stop_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        log.debug("a connection had ended already")
