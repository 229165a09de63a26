"""An HTTP server that scores: POST /score, GET /health, GET /info; JSON in and out. It needs no other package.

It listens on this machine only, unless given a token. Start it with `python -m rltk_reward_models.serve FOLDER`.
"""

import json
import logging
import socket
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rltk_reward_models.address import check_token
from rltk_reward_models.conversations import Scored
from rltk_reward_models.handler import Handler
from rltk_reward_models.listener import Listener
from rltk_reward_models.listener import run as run
from rltk_reward_models.protocol import Limits
from rltk_reward_models.scorer import Scorer
from rltk_reward_models.worker import ScoringThread

log = logging.getLogger(__name__)
BUSY = json.dumps({"error": "too many connections; come again"}).encode()


class ScoringServer(Listener):
    def __init__(
        self,
        scorer: Scorer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_token(host, token)  # before a thread starts that nobody would end
        self.limits, self.identity = limits or Limits(), scorer.identity
        self._scoring = ScoringThread(scorer)  # a port that is taken closes the server, and this thread with it
        super().__init__(Handler, self.limits, host=host, port=port, token=token)

    @property
    def is_healthy(self) -> bool:
        return self._scoring.is_alive

    def submit(self, conversations: list[Any], is_gone: Callable[[], bool]) -> "Future[list[Scored]]":
        return self._scoring.submit(conversations, is_gone)

    def turn_away(self, connection: socket.socket) -> None:
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(BUSY)}\r\nRetry-After: 1\r\nConnection: close"
        try:
            connection.settimeout(0.2)
            connection.sendall(f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + BUSY)
        except OSError:
            log.debug("turned away a client that had left")

    def server_close(self) -> None:
        """Answers the requests that have arrived, then ends every connection and the scoring thread."""
        super().server_close()
        self._scoring.close()
