"""Ctrl-C and SIGTERM end training between two steps, with a checkpoint; a second one, or one elsewhere, at once.

What sends SIGTERM kills some time later (Slurm and Kubernetes after 30 seconds), so a step that takes longer than a
grace time is ended within, and what the steps before it learned is kept.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rltk.run.checkpoint import save_checkpoint

SOON = 1.0
"""Seconds after which it is looked again whether a checkpoint has been written."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GraceOverError(KeyboardInterrupt):
    """The step under way has taken longer than it was given. Not caught it is an interrupt at once."""


class Stop:
    def __init__(self, say: Callable[[str], None], grace: float | None = None) -> None:
        """`grace`: seconds that a step has to end in; None: all that it takes."""
        self.say, self.grace, self.is_asked, self.is_patient = say, grace, False, False

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self.is_asked or not self.is_patient:
            raise KeyboardInterrupt
        self.is_asked = True
        if self.grace is not None:
            signal.setitimer(signal.ITIMER_REAL, self.grace)
        self.say("stopping after this step; press Ctrl-C again to stop at once")

    def be_late(self, number: int, frame: FrameType | None) -> None:
        if not self.is_patient:
            return
        if is_within(frame, save_checkpoint):  # half a checkpoint would be none
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        raise GraceOverError

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it either signal ends the program as Ctrl-C does."""
        handlers = {**dict.fromkeys(SIGNALS, self.ask), signal.SIGALRM: self.be_late}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
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
            signal.setitimer(signal.ITIMER_REAL, 0)


def is_within(frame: FrameType | None, function: Callable[..., object]) -> bool:
    """Whether that is being called."""
    while frame is not None:
        if frame.f_code is function.__code__:  # pyright: ignore[reportFunctionMemberAccess]  # a function has it
            return True
        frame = frame.f_back
    return False
