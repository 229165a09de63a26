"""Several servers that share the work: whoever is away is passed over, and when all are, they are waited for."""

import threading
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from rltk_reward_models.http_client import Patience

from rltk.errors import SamplerGoneError, UserError
from rltk.recipe.schema import Rollout
from rltk.rollout.servers.meaning import refuse_other_logprobs
from rltk.rollout.servers.server import AwayError, ModelServer
from rltk.secrets import read_token

T = TypeVar("T")


class Fleet:
    def __init__(self, servers: Sequence[ModelServer], *, patience: float) -> None:
        self.servers, self.patience = tuple(servers), patience
        self.at_close = ExitStack()
        """What takes back from the servers what they were given."""
        self._in_flight = [0] * len(self.servers)
        self._turn = threading.Lock()

    def ask(self, what: Callable[[ModelServer], T], stop: threading.Event) -> T:
        """The result of `what` from the server with the fewest requests in flight, or from another that can be had.

        SamplerGoneError when all have been away for longer than patience allows, or once `stop` is set.
        """
        patience = Patience(self.patience)
        away: set[int] = set()
        while True:
            with self.least_busy(away) as place:
                try:
                    return what(self.servers[place])
                except AwayError as error:
                    trouble = error
            away.add(place)
            if len(away) == len(self.servers) or stop.is_set():
                if not patience.waits(stop, at_least=trouble.seconds):
                    raise SamplerGoneError(self.gone(self.servers[place], trouble)) from trouble
                away.clear()

    @contextmanager
    def least_busy(self, away: Set[int]) -> Iterator[int]:
        """The place of the server, which has one request more in flight meanwhile."""
        with self._turn:
            place = min(set(range(len(self.servers))) - away, key=lambda one: (self._in_flight[one], one))
            self._in_flight[place] += 1
        try:
            yield place
        finally:
            with self._turn:
                self._in_flight[place] -= 1

    def abort(self) -> None:
        """Ends the requests under way."""
        for server in self.servers:
            server.connections.abort()

    def hang_up(self) -> None:
        for server in self.servers:
            server.hang_up()

    def close(self) -> None:
        self.at_close.close()

    def gone(self, last: ModelServer, error: AwayError) -> str:
        others = f", like {len(self.servers) - 1} others," if len(self.servers) > 1 else ""
        return f"{last.url}{others} has given no completions for {self.patience:g} seconds ({error}); is it running?"


def connect(rollout: Rollout) -> Fleet:
    """The servers that a recipe names, each of which has answered, with the log-probabilities that it needs."""
    token = read_token("rollout.token_file", rollout.token_file)
    try:
        servers = [ModelServer(url, token, timeout=rollout.timeout) for url in rollout.servers]
    except ValueError as error:
        raise UserError(f"rollout.servers: {error}.") from error
    for server in servers:
        alone = Fleet([server], patience=rollout.patience)
        alone.ask(ModelServer.meet, threading.Event())
        alone.ask(lambda one: refuse_other_logprobs(one, rollout), threading.Event())
    return Fleet(servers, patience=rollout.patience)
