"""What the scoring server answers on a connection: scores, what it is, and whether it is well.

`protocol` has the forms of a request. `takes_cut_off` in /info tells clients that this one knows `is_cut_off`.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from rltk_reward_models.incoming import Incoming, RefusedError
from rltk_reward_models.protocol import TooLargeError, from_items, to_answer

if TYPE_CHECKING:
    from rltk_reward_models.server import ScoringServer

log = logging.getLogger(__name__)


class Handler(Incoming):
    paths: ClassVar[Mapping[str, str]] = {"/score": "POST", "/health": "GET", "/info": "GET"}

    def setup(self) -> None:
        super().setup()
        self.ours = cast("ScoringServer", self.server)

    def get(self) -> None:
        if self.route == "/info":
            self.reply(200, {**self.ours.identity._asdict(), "limits": vars(self.ours.limits), "takes_cut_off": True})
        elif self.ours.is_healthy:
            self.reply(200, {"status": "ok"})
        else:
            raise RefusedError(503, "the scoring thread has ended")

    def post(self, body: bytes) -> None:
        try:
            scored = self.ours.submit(from_items(body, self.ours.limits), self.is_gone).result()
        except TooLargeError as error:
            raise RefusedError(413, str(error)) from error
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        except RuntimeError as error:
            log.error("%s", error)
            raise RefusedError(500, str(error)) from error
        self.reply(200, to_answer(scored, self.ours.identity.model))
