"""The two servers as processes: what they are asked, what they must refuse, and how large they grow."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.load_clients import Question
from benchmarks.load_models import POLICY, adapter, reward_model
from benchmarks.record import status

ADAPTERS = ("first", "second")
LOOK_SECONDS = 0.25
CLOSE = 1e-4
"""By which a score or log-probability may differ in another batch."""


class Target(NamedTuple):
    """`command` serves, `path` answers `bodies` and refuses what is `malformed`."""

    command: list[str]
    path: str
    bodies: list[bytes]
    malformed: list[bytes]
    tokens: str | None
    """Key of an answer's discrete part, which must be the same to the last bit; None where there is none."""
    numbers: str
    """Key of its numbers, which another batch may round differently."""
    long: bytes
    """What those ask who leave before the answer."""
    adapters: tuple[Path, ...] = ()
    """Folders; body i is for the one of its place among `1 + len(adapters)`, the first place being the base's."""

    def essence(self, answer: Any) -> tuple[Any, list[float]]:
        """What tells this answer from those to other questions."""
        holder = answer["choices"][0] if self.tokens is not None else answer
        discrete = None if self.tokens is None else [holder["prompt_token_ids"], holder[self.tokens]]
        numbers = holder["logprobs"][self.numbers] if self.tokens is not None else holder[self.numbers]
        return discrete, numbers

    def is_same(self, answer: Any, expected: tuple[Any, list[float]]) -> bool:
        discrete, numbers = self.essence(answer)
        if discrete != expected[0] or len(numbers) != len(expected[1]):
            return False
        return all(abs(one - other) < CLOSE for one, other in zip(numbers, expected[1], strict=True))

    def good(self, at: int) -> Question:
        body = self.bodies[at % len(self.bodies)]
        return Question("good", self.path, body, like=body)

    def swap(self, at: int) -> tuple[Question, ...]:
        """An adapter is loaded under a name of its own, asked, and unloaded."""
        which, name = at % len(self.adapters), f"swapped-{at}"
        like = self.good(at * (1 + len(self.adapters)) + 1 + which)
        asked = json.dumps({**json.loads(like.body or b""), "model": name}).encode()
        load = json.dumps({"lora_name": name, "lora_path": str(self.adapters[which])}).encode()
        return (
            Question("load", "/v1/load_lora_adapter", load),
            like._replace(body=asked),
            Question("unload", "/v1/unload_lora_adapter", json.dumps({"lora_name": name}).encode()),
        )


class Server(NamedTuple):
    pid: int
    url: str
    """Without a path."""


def completions(folder: Path) -> Target:
    """`rltk serve` with two adapters, greedy, so that an answer is a function of its question."""
    common = {"model": POLICY, "max_tokens": 4, "temperature": 0, "logprobs": 0, "return_token_ids": True}
    texts = [f"{a} boxes hold {b} pens each. How many pens?" for a in range(2, 10) for b in range(3, 11)]
    wrong: list[Any] = [
        {**common},
        {**common, "prompt": texts[0], "max_tokens": -1},
        {**common, "prompt": texts[0], "echo": True},
        {**common, "prompt": [10**9]},
        {**common, "prompt": {"text": texts[0]}},
        {**common, "prompt": texts[0], "model": "nobody"},
        [common],
    ]
    adapters = tuple(adapter(folder / name, seed=seed) for seed, name in enumerate(ADAPTERS))
    named = [f"{name}={path}" for name, path in zip(ADAPTERS, adapters, strict=True)]
    questions = [{**common, "prompt": text, "model": model} for text in texts for model in (POLICY, *ADAPTERS)]
    return Target(
        ["serve", POLICY, *named, "--dtype", "float32"],
        "/v1/completions",
        [json.dumps(question).encode() for question in questions],
        malformed(wrong),
        "token_ids",
        "token_logprobs",
        long=json.dumps({**common, "model": ADAPTERS[0], "prompt": texts[0], "n": 4, "max_tokens": 1000}).encode(),
        adapters=adapters,
    )


def scores(folder: Path) -> Target:
    """`rltk serve-reward` of random weights; requests of one to four items."""
    texts = [f"Human: How much is {a} and {b}?\n\nAssistant: {a + b}" for a in range(8) for b in range(8)]
    several = [[{"text": text} for text in texts[at : at + 1 + at % 4]] for at in range(len(texts))]
    wrong: list[Any] = [
        {"items": [{"text": ""}]},
        {"items": [{"words": "a"}]},
        {"items": "a"},
        {"items": [{"messages": [{"role": "user", "content": 7}]}]},
        {"items": several[0], "more": 1},
        [],
    ]
    bodies = [json.dumps({"items": items}).encode() for items in several]
    command = ["serve-reward", str(reward_model(folder / "reward")), "--device", "cpu"]
    return Target(command, "/score", bodies, malformed(wrong), None, "scores", long=bodies[0])


def malformed(wrong: list[Any]) -> list[bytes]:
    """JSON that is no question, and bodies that are no JSON."""
    return [json.dumps(one).encode() for one in wrong] + [b"", b"{", b"\xff\xfe", b"[" * 10_000, b"null"]


@contextmanager
def running(target: Target) -> Iterator[Server]:
    """A server that answers; afterwards it has ended in order."""
    command = [sys.executable, "-m", "rltk", *target.command, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("serving"), said
        try:
            yield Server(process.pid, f"http://{urlsplit(said.split()[-1]).netloc}")
        finally:
            process.terminate()
    assert process.returncode == 0, f"the server ended with status {process.returncode}"


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The process's resident size in bytes, time after time."""
    sizes, stop = [status("VmRSS", pid)], threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            sizes.append(status("VmRSS", pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()
