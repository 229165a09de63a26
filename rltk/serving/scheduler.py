"""One thread that decodes for all: it alone touches the model, and between two steps it takes in whoever waits."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from rltk.errors import UserError
from rltk.serving.batch import Batch, Group, groups_of
from rltk.serving.job import FailedError, Job

log = logging.getLogger(__name__)
PREFILL_TOKENS = 2**15
"""Tokens of prompts, padding included, that are read at once."""
Order = tuple[Callable[[], Any], "Future[Any]"]
"""What is to be done between two steps, and where its result goes."""


class Scheduler:
    """`most` completions are decoded at once; the others wait, first come, first served."""

    def __init__(self, batch: Batch, *, most: int) -> None:
        self.batch, self.most = batch, most
        self._inbox: queue.SimpleQueue[Job | Order | None] = queue.SimpleQueue()
        self._waiting: deque[Group] = deque()
        # Nothing may enter behind the end mark, where nobody would answer it.
        self._entrance = threading.Lock()
        self._is_open, self._why_closed = True, "the server is ending"
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._is_open and self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Its events follow; after `close` it has failed."""
        if not self._enter(job):
            job.events.put(FailedError(self._why_closed))

    def between_steps(self, what: Callable[[], Any]) -> "Future[Any]":
        """The result of `what`, called by the decoding thread; it fails with a UserError or RuntimeError."""
        future: Future[Any] = Future()
        if not self._enter((what, future)):
            future.set_exception(FailedError(self._why_closed))
        return future

    def close(self) -> None:
        """Finishes what was submitted, then ends."""
        with self._entrance:
            self._is_open = False
            self._inbox.put(None)
        self._thread.join()

    def _enter(self, message: Job | Order) -> bool:
        with self._entrance:
            if self._is_open:
                self._inbox.put(message)
            return self._is_open

    def _run(self) -> None:
        try:
            with self.batch.computing():
                is_last = False
                while not is_last or self._has_work():
                    is_last = self._receive(is_last=is_last) or is_last
                    self._advance()
        finally:
            self._abandon("the decoding thread has ended")

    def _has_work(self) -> bool:
        return bool(self._waiting or self.batch.running)

    def _receive(self, *, is_last: bool) -> bool:
        """Takes what has arrived, waiting for it if there is nothing else to do; whether the end mark came."""
        while True:
            try:
                message = self._inbox.get(block=not self._has_work() and not is_last)
            except queue.Empty:
                return False
            if message is None:
                return True
            if isinstance(message, Job):
                self._waiting.extend(groups_of(message))
            else:
                _obey(*message)

    def _advance(self) -> None:
        entering = self._entering()
        try:
            if entering:
                self.batch.enter(entering)
            self.batch.step()
        except (RuntimeError, MemoryError) as error:  # torch's are of the first kind; the next batch may fit
            log.error("decoding failed", exc_info=True)
            first_line = str(error).strip().partition("\n")[0]
            self._fail([group.rows[0].job for group in entering], f"decoding failed ({first_line})")

    def _entering(self) -> list[Group]:
        """Those whose turn it is and for whom there is room; who was cancelled while waiting is told so."""
        entering: list[Group] = []
        rows, longest = self.batch.running, 0
        while self._waiting:
            group = self._waiting[0]
            if group.is_cancelled:
                group.tell_cancelled()
                self._waiting.popleft()
                continue
            longest = max(longest, len(group.prompt))
            is_first = not entering and not rows
            has_room = rows + len(group.rows) <= self.most and longest * (len(entering) + 1) <= PREFILL_TOKENS
            if not (is_first or has_room):
                break
            entering.append(self._waiting.popleft())
            rows += len(group.rows)
        return entering

    def _fail(self, entering: Sequence[Job], why: str) -> None:
        """All that is under way or was to be; what waits may still be served."""
        jobs = {id(job): job for job in (*entering, *(row.job for row in self.batch.rows if not row.is_over))}
        self.batch.clear()
        for job in jobs.values():
            self._waiting = deque(group for group in self._waiting if group.rows[0].job is not job)
            job.events.put(FailedError(why))

    def _abandon(self, why: str) -> None:
        """After the last job, or when the thread dies: nobody waits for ever."""
        with self._entrance:
            self._why_closed = why if self._is_open else self._why_closed
            self._is_open = False
        self._fail([], why)
        for job in {id(group.rows[0].job): group.rows[0].job for group in self._waiting}.values():
            job.events.put(FailedError(why))
        while not self._inbox.empty():
            match self._inbox.get():
                case Job() as job:
                    job.events.put(FailedError(why))
                case (_, future):
                    future.set_exception(FailedError(why))


def _obey(what: Callable[[], Any], future: "Future[Any]") -> None:
    """An order that fails has failed alone; the thread ends only by what is no ordinary error."""
    try:
        future.set_result(what())
    except (UserError, RuntimeError) as error:
        future.set_exception(error)
    except BaseException as error:
        log.error("an order failed", exc_info=True)
        future.set_exception(FailedError(f"{type(error).__name__}: {error}"))
        if not isinstance(error, Exception):
            raise
