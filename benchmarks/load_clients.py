"""Clients of a server: threads, each with a connection of its own, that ask until all is asked."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SECONDS = 300.0
"""That an answer may take."""
BUSY, AGAIN_SECONDS = 503, 1.0
"""After which a server that says so may be asked again, by its Retry-After."""
LEAVE_SECONDS = 0.05
"""After which a client leaves that does not wait for the answer."""


class Question(NamedTuple):
    kind: str
    """good, malformed, oversized, left (who asks is gone before the answer), load or unload"""
    path: str
    body: bytes | None
    """None asks by GET."""
    like: bytes | None = None
    """The body whose answer alone this one's must be."""


class Answered(NamedTuple):
    question: Question
    status: int
    """0: there was no answer, or nobody to read it."""
    content: Any
    """JSON; None where it was none."""
    seconds: float
    """From the first time it was asked."""
    refusals: int = 0
    """Times that the server was busy."""


def ask_all(url: str, turns: Sequence[Sequence[Question]], *, clients: int) -> list[Answered]:
    """The answers, in whatever order they came; the questions of one turn are asked by one client, one by one."""
    left, turn, answered = iter(turns), threading.Lock(), list[Answered]()

    def work() -> None:
        connection = connect(url)
        for questions in taken(left, turn):
            answered.extend(persist(connection, question) for question in questions)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answered


def ask(url: str, question: Question) -> Answered:
    connection = connect(url)
    answered = exchange(connection, question)
    connection.close()
    return answered


def taken(left: Iterator[Sequence[Question]], turn: threading.Lock) -> Iterator[Sequence[Question]]:
    """One turn after the other, each to one client alone."""
    while True:
        with turn:
            questions = next(left, None)
        if questions is None:
            return
        yield questions


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=SECONDS)


def persist(connection: http.client.HTTPConnection, question: Question) -> Answered:
    """Asks again for as long as the server is busy: who left may have a place still that it has no other for."""
    started, refusals = time.perf_counter(), 0
    while (answered := exchange(connection, question)).status == BUSY:
        refusals += 1
        time.sleep(AGAIN_SECONDS)
    return answered._replace(seconds=time.perf_counter() - started, refusals=refusals)


def exchange(connection: http.client.HTTPConnection, question: Question) -> Answered:
    """A connection that breaks is opened again for the next question."""
    started = time.perf_counter()
    try:
        connection.request("GET" if question.body is None else "POST", question.path, question.body)
        if question.kind == "left":
            time.sleep(LEAVE_SECONDS)
            connection.close()
            return Answered(question, 0, None, time.perf_counter() - started)
        response = connection.getresponse()
        status, body = response.status, response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Answered(question, 0, None, time.perf_counter() - started)
    return Answered(question, status, read(body), time.perf_counter() - started)


def read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
