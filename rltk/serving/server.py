"""The HTTP server around a service: a thread a connection, this machine only unless there is a token.

The standard library's server is enough: what takes time is decoding, which one thread does for all, and a connection
waits in a thread that costs next to nothing. So serving needs no package that training does not.
"""

from rltk_reward_models.listener import Listener
from rltk_reward_models.listener import run as run

from rltk.serving.handler import Handler
from rltk.serving.service import Service


class ApiServer(Listener):
    def __init__(self, service: Service, *, host: str, port: int, token: str | None) -> None:
        self.service, self.limits = service, service.limits
        super().__init__(Handler, self.limits, host=host, port=port, token=token)

    @property
    def is_healthy(self) -> bool:
        return self.service.scheduler.is_alive

    def server_close(self) -> None:
        """Answers the requests that have arrived, then ends every connection and the decoding thread."""
        super().server_close()
        self.service.scheduler.close()
