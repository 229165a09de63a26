"""Ctrl-C and SIGTERM end training between two steps, with a checkpoint; a second one, or one elsewhere, at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.is_asked, self.is_patient = say, False, False

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked or not self.is_patient:
            raise KeyboardInterrupt
        self.is_asked = True
        self.say("stopping after this step; press Ctrl-C again to stop at once")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it either signal ends the program as Ctrl-C does."""
        before = {number: signal.signal(number, self.ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def after_this_step(self) -> Iterator[None]:
        """Within it the first signal only asks."""
        self.is_patient = True
        try:
            yield
        finally:
            self.is_patient = False
