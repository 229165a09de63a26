"""Mathematical answers graded in bounded time and memory: algebra is done in worker processes that can be killed.

A completion is read and compared cheaply in the calling process; only what that leaves open goes to a worker. A worker
is a plain subprocess (no fork of a process that holds threads or a GPU) that imports neither torch nor rltk. A check
that runs over its bound of wall-clock time or memory is graded TIMEOUT and its worker replaced. There are no alarm
signals and no threads, so it works in any thread of any process, forked ones too. Needs a POSIX system.
"""

import json
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from rltk_eval.latex import canonical
from rltk_eval.maths import gold_math, quick_match, read_math
from rltk_eval.verdicts import Grade, Verdict

SECONDS = 5.0
MEMORY = 1 << 30
STARTING = 600.0
"""Bounds of one check, wall-clock seconds and bytes of address space; seconds in which a worker must have started."""
TRIES = 2
"""A worker that dies may have been killed by anyone; a check during which two die is given up."""
REMEMBERED = 10_000
"""Verdicts kept: the completions of a GRPO group often give the same answer."""


class Question(NamedTuple):
    answer: str
    gold: str


@dataclass(eq=False)
class _Worker:
    """A process, and what it is doing until when (`time.monotonic`); `started`: it has imported what it needs."""

    process: "subprocess.Popen[bytes]"
    deadline: float
    started: bool = False
    question: Question | None = None

    @property
    def output(self) -> int:
        """The file descriptor of its replies."""
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def has_ended(self) -> bool:
        """After it started: one that fails to start is found by its closed output."""
        return self.started and self.process.poll() is not None


class Checker:
    """Grades mathematical answers; workers start when first needed and end with the checker or the program.

    Safe to use from several threads, which take turns; each turn uses all workers.
    """

    def __init__(self, *, workers: int | None = None, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        if (workers is not None and workers < 1) or seconds <= 0:
            raise ValueError(f"workers ({workers}) must be at least 1 and seconds ({seconds}) above 0")
        self.workers = workers or min(4, os.cpu_count() or 1)
        self.seconds = seconds
        self.memory = memory
        self._begin()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers; the next `grade` starts new ones."""
        self._forget_parent()
        with self._turn:
            self._drop([*self._pool])

    def grade(self, pairs: Sequence[tuple[str, str]], *, strict: bool = False) -> list[Grade]:
        """One grade for each pair of a completion and a gold (a solution or a bare answer), in their order.

        ValueError if a gold does not read.
        """
        golds = {gold: gold_math(gold) for _, gold in pairs}
        read = [(read_math(completion, strict=strict), golds[gold]) for completion, gold in pairs]
        questions = [
            None if answer is None or canonical(answer) is None else Question(answer, gold) for answer, gold in read
        ]
        verdicts = self._verdicts({question for question in questions if question is not None})
        unreadable = Grade(Verdict.UNREADABLE, None)
        return [Grade(verdicts[asked], asked.answer) if asked is not None else unreadable for asked in questions]

    def processes(self) -> list[int]:
        """The ids of the worker processes that are there now."""
        return [worker.process.pid for worker in self._pool]

    def _begin(self) -> None:
        self._process_id = os.getpid()
        self._turn = threading.Lock()
        self._known: OrderedDict[Question, Verdict] = OrderedDict()
        self._pool: list[_Worker] = []
        weakref.finalize(self, _end_all, self._pool, self._process_id)

    def _forget_parent(self) -> None:
        """In a forked process the workers and the lock belong to the parent."""
        if os.getpid() == self._process_id:
            return
        for worker in self._pool:
            worker.process.returncode = 0  # else its finalizer complains about a child that is not ours
        self._begin()

    def _verdicts(self, questions: set[Question]) -> dict[Question, Verdict]:
        verdicts: dict[Question, Verdict] = {}
        for question in questions:
            equal = quick_match(*question)
            if equal is not None:
                verdicts[question] = Verdict.CORRECT if equal else Verdict.INCORRECT
        if len(verdicts) < len(questions):
            self._forget_parent()
            with self._turn:
                verdicts |= self._asked(sorted(questions - verdicts.keys()))
        return verdicts

    def _asked(self, questions: list[Question]) -> dict[Question, Verdict]:
        new = [question for question in questions if question not in self._known]
        try:
            self._known.update(_Round(self, new).run() if new else {})
        finally:
            self._drop([worker for worker in self._pool if worker.question is not None or not worker.started])
        verdicts = {question: self._known[question] for question in questions}
        for question in questions:
            self._known.move_to_end(question)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return verdicts

    def _drop(self, workers: list[_Worker]) -> None:
        for worker in workers:
            self._pool.remove(worker)
            _end(worker)


class _Round:
    """Questions answered by the workers of a checker, each within its bounds."""

    def __init__(self, checker: Checker, questions: list[Question]) -> None:
        self.checker = checker
        self.waiting = deque(questions)
        self.verdicts: dict[Question, Verdict] = {}
        self.total = len(questions)
        self.deaths: Counter[Question | None] = Counter()

    def run(self) -> dict[Question, Verdict]:
        pool = self.checker._pool
        while len(self.verdicts) < self.total:
            self.checker._drop([worker for worker in pool if worker.question is None and worker.has_ended()])
            while len(pool) < min(self.checker.workers, self.total - len(self.verdicts)):
                pool.append(_start(self.checker.memory, self.checker.seconds))
            self._hand_out()
            watched = [worker for worker in pool if worker.question is not None or not worker.started]
            nearest = min(worker.deadline for worker in watched)
            ready = wait([worker.output for worker in watched], timeout=max(0.0, nearest - time.monotonic()))
            for worker in [worker for worker in watched if worker.output in ready]:
                self._hear(worker)
            self._end_overdue()
        return self.verdicts

    def _hand_out(self) -> None:
        for worker in self.checker._pool:
            if self.waiting and worker.started and worker.question is None:
                worker.question = self.waiting.popleft()
                worker.deadline = time.monotonic() + self.checker.seconds
                _send(worker)

    def _hear(self, worker: _Worker) -> None:
        reply = os.read(worker.output, 100)
        question, worker.question = worker.question, None
        if not reply:
            self._bury(worker, question)
        elif not worker.started:
            worker.started = True
        elif question is not None:
            verdicts = {b"true\n": Verdict.CORRECT, b"false\n": Verdict.INCORRECT}
            self.verdicts[question] = verdicts.get(reply, Verdict.TIMEOUT)

    def _bury(self, worker: _Worker, question: Question | None) -> None:
        """Replaces a worker that died; what it was asked is asked once more."""
        self.checker._drop([worker])
        self.deaths[question] += 1
        if question is None and not worker.started and self.deaths[None] >= TRIES:
            raise RuntimeError(_why_no_worker())
        if question is not None and self.deaths[question] < TRIES:
            self.waiting.appendleft(question)
        elif question is not None:
            self.verdicts[question] = Verdict.TIMEOUT

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for worker in [*self.checker._pool]:
            if now < worker.deadline or (worker.started and worker.question is None):
                continue
            if worker.question is None:
                raise RuntimeError(_why_no_worker())
            self.verdicts[worker.question] = Verdict.TIMEOUT
            self.checker._drop([worker])


def _start(memory: int, seconds: float) -> _Worker:
    command = [sys.executable, "-m", "rltk_eval.worker", str(memory), str(seconds)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parent.parent,  # where `-m` finds the package, installed or not
        start_new_session=True,  # Ctrl-C in a terminal is for the parent, which ends its workers
    )
    return _Worker(process, time.monotonic() + STARTING)


def _send(worker: _Worker) -> None:
    assert worker.process.stdin is not None
    with suppress(BrokenPipeError):  # it died; its closed output says so next
        worker.process.stdin.write(json.dumps(worker.question).encode() + b"\n")
        worker.process.stdin.flush()


def _end(worker: _Worker) -> None:
    """Kills and reaps; a worker holds nothing that would have to be saved."""
    worker.process.kill()
    worker.process.wait()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # a question that it never read
                pipe.close()


def _end_all(pool: list[_Worker], process_id: int) -> None:
    if os.getpid() == process_id:
        while pool:
            _end(pool.pop())


def _why_no_worker() -> str:
    missing = [name for name in ("math_verify", "sympy") if find_spec(name) is None]
    if missing:
        return f"mathematical answers need {' and '.join(missing)}: pip install math-verify"
    return "the process that checks mathematical answers does not start: try `python -m rltk_eval.worker 1073741824 5`"
