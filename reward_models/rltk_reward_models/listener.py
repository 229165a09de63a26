"""An HTTP server that takes so many connections, knows a token, and ends in order: a thread a connection.

What it answers is its connection's business (`incoming.py`), what works for it in a thread of its own its subclass's.
"""

import hmac
import logging
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from typing import Any, Protocol

from rltk_reward_models.address import address_family, check_token, is_local
from rltk_reward_models.incoming import Incoming

log = logging.getLogger(__name__)


class Bounds(Protocol):
    @property
    def requests(self) -> int:
        """At work at a time."""
        ...

    @property
    def connections(self) -> int: ...

    @property
    def request_bytes(self) -> int: ...

    @property
    def idle_seconds(self) -> float:
        """For the next request line and headers to arrive on an open connection."""
        ...

    @property
    def body_seconds(self) -> float:
        """For the whole body to arrive; as long again for an answer, or a part of one, to be taken."""
        ...


class Listener(ThreadingHTTPServer):
    """Listens from the moment it is made; `serve_forever` answers, `shutdown` and `server_close` end it in order."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, connection: type[Incoming], bounds: Bounds, *, host: str, port: int, token: str | None) -> None:
        check_token(host, token)
        self.token, self.bounds = token, bounds
        self.address_family = address_family(host)
        self.places = threading.BoundedSemaphore(bounds.requests)
        self.is_closing = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), connection)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"

    def knows(self, authorization: str | None) -> bool:
        """Whether the Authorization header holds the token; takes as long whatever it holds."""
        if self.token is None:
            return True
        return hmac.compare_digest((authorization or "").encode("utf-8"), f"Bearer {self.token}".encode())

    def trusts(self, hosts: Sequence[str], origins: Sequence[str]) -> bool:
        """Whether a request with these Host and Origin headers comes from no web page of somebody else.

        A page can make any browser of this machine send a request here, and can have its own name resolved to this
        machine, but it does not know a token: who has one may come by any name, as through a reverse proxy.
        """
        return self.token is not None or all(map(is_local, [*(f"//{host}" for host in hosts), *origins]))

    def turn_away(self, connection: socket.socket) -> None:
        """Says something to a connection too many before it is closed; nothing unless a subclass does."""

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            is_full = len(self._open) >= self.bounds.connections
            if not is_full:
                self._open.add(request)
        if is_full:
            self.turn_away(request)
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
        """Answers the requests that have arrived, then ends every connection."""
        self.is_closing = True
        with self._lock:
            for connection in self._open:
                _stop_reading(connection)
        super().server_close()

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._open.discard(request)


def run(server: Listener) -> None:
    """Serves until SIGTERM or Ctrl-C, then ends in order; call it from the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # `shutdown` waits for the loop to end, which is the thread that a signal interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()


def _stop_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        log.debug("a connection had ended already")
