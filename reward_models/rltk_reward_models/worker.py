"""One thread that scores for many: waiting requests share batches, and each gets its own scores or its own error."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rltk_reward_models.conversations import Conversation, Scored, checked_score
from rltk_reward_models.scorer import Encoded, Scorer

BATCH_ITEMS = 512


@dataclass(frozen=True)
class Job:
    conversations: Sequence[Conversation]
    is_gone: Callable[[], bool]
    """Whether nobody waits for its scores any more."""
    future: "Future[list[Scored]]" = field(default_factory=Future)


class ScoringThread:
    """Model and tokenizer are touched by this thread only; neither is safe in several."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # No job may enter behind the end mark, where nobody would answer it.
        self._entrance = threading.Lock()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._is_open and self._thread.is_alive()

    def submit(self, conversations: Sequence[Conversation], is_gone: Callable[[], bool]) -> "Future[list[Scored]]":
        """Their scores; the future raises ValueError for a bad conversation, RuntimeError for a failure of ours.

        Whoever is gone when the turn comes is not scored for, and the future raises ConnectionAbortedError.
        """
        job = Job(conversations, is_gone)
        with self._entrance:
            if self._is_open:
                self._jobs.put(job)
            else:
                job.future.set_exception(RuntimeError("scoring has ended"))
        return job.future

    def close(self) -> None:
        """Scores what was submitted, then ends."""
        with self._entrance:
            self._is_open = False
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        jobs: list[Job] = []
        try:
            is_last = False
            while not is_last:
                jobs, is_last = self._waiting()
                self._score(jobs)
        finally:
            self._abandon(jobs)

    def _waiting(self) -> tuple[list[Job], bool]:
        """At least one job, with those that wait behind it up to a batch, and whether the end mark came."""
        jobs: list[Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if sum(len(one.conversations) for one in jobs) >= BATCH_ITEMS:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _score(self, jobs: Sequence[Job]) -> None:
        encoded = [(job, items) for job in jobs if (items := self._encode(job)) is not None]
        try:
            scores = iter(self.scorer.score_encoded([item for _, items in encoded for item in items]))
        except RuntimeError as error:  # torch's, such as running out of memory; the next batch may fit.
            for job, _ in encoded:
                job.future.set_exception(RuntimeError(f"scoring failed: {error}"))
            return
        for job, items in encoded:
            _answer(job, items, [next(scores) for _ in items])

    def _encode(self, job: Job) -> list[Encoded] | None:
        """None where there is nothing to score: then the job has its answer."""
        if job.is_gone():
            job.future.set_exception(ConnectionAbortedError("the client has left"))
            return None
        try:
            return [self.scorer.encode(conversation, index) for index, conversation in enumerate(job.conversations)]
        except ValueError as error:
            job.future.set_exception(error)
            return None

    def _abandon(self, jobs: list[Job]) -> None:
        """After the last job, or when the thread dies: nobody waits for ever."""
        with self._entrance:
            self._is_open = False
        while not self._jobs.empty():
            if (job := self._jobs.get()) is not None:
                jobs.append(job)
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(RuntimeError("scoring has ended"))


def _answer(job: Job, items: Sequence[Encoded], scores: Sequence[float]) -> None:
    try:
        job.future.set_result(
            [
                Scored(checked_score(score, index), item.tokens, item.is_truncated)
                for index, (item, score) in enumerate(zip(items, scores, strict=True))
            ]
        )
    except ValueError as error:
        job.future.set_exception(RuntimeError(str(error)))
