"""Both servers under load: `rltk serve` and `rltk serve-reward`, each asked by many clients at once.

    python -m benchmarks.load                                  10,000 requests from 64 clients to each
    python -m benchmarks.load --requests 500 --clients 16      a small form

Of the requests 5 % are malformed, 1 % larger than a server takes, and 1 % come from who leaves before the answer. `rltk
serve` is asked for its base and two adapters in turn, and every 200 requests an adapter is loaded under a new name,
asked and unloaded. Every answer is compared with what the server gave for the same question to the same model when it
was asked alone; who is told that the server is busy comes again a second later. Memory is the server's resident size,
looked at four times a second; it is flat if the last quarter's median is at most 5 % above the second's: in the first,
threads and buffers come into being.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load_clients import Question, ask, ask_all
from benchmarks.load_report import summary
from benchmarks.load_targets import Target, completions, running, scores, watched
from benchmarks.record import write_result
from rltk.serving.wire import Limits

MALFORMED, OVERSIZED, LEFT = 0.05, 0.01, 0.01
SWAP_EVERY = 200
LIMIT = Limits().request_bytes
"""Bytes that either server takes in one request."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--name", default="load", help="of the results file")
    args = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, target in (("serve", completions(Path(folder))), ("serve-reward", scores(Path(folder)))):
            rows[name] = measure(target, requests=args.requests, clients=args.clients)
            print(f"{name}: {json.dumps(rows[name])}", flush=True)
    busy = os.getloadavg()[1]  # of five minutes; more than there are cores, and times are those of a shared machine
    write_result(args.name, {"settings": vars(args), "load_average": busy, "servers": rows}, packages=())
    return 0 if all(row["holds"] for row in rows.values()) else 1


def measure(target: Target, *, requests: int, clients: int) -> dict[str, Any]:
    with running(target) as server:
        alone = {body: ask(server.url, Question("good", target.path, body)) for body in target.bodies}
        assert all(answered.status == 200 for answered in alone.values()), "the questions are good ones"
        expected = {body: target.essence(answered.content) for body, answered in alone.items()}
        alike = [sum(target.is_same(one.content, other) for other in expected.values()) for one in alone.values()]
        assert set(alike) == {1}, "an answer tells its question from all others"
        with watched(server.pid) as sizes:
            started = time.perf_counter()
            answered = ask_all(server.url, list(mixture(target, requests, seed=0)), clients=clients)
            seconds = time.perf_counter() - started
        health = ask(server.url, Question("good", "/health", None))
    return summary(answered, expected, target, sizes, seconds, is_alive=health.status == 200)


def mixture(target: Target, requests: int, *, seed: int) -> Iterator[tuple[Question, ...]]:
    """Turns of one question in an order that the seed decides, and beside them those of adapters that come and go."""
    shares = {"malformed": MALFORMED, "oversized": OVERSIZED, "left": LEFT}
    kinds = [kind for kind, share in shares.items() for _ in range(round(share * requests))]
    kinds += ["good"] * (requests - len(kinds))
    random.Random(seed).shuffle(kinds)
    for at, kind in enumerate(kinds):
        yield (question(target, kind, at),)
        if target.adapters and at % SWAP_EVERY == SWAP_EVERY - 1:
            yield target.swap(at // SWAP_EVERY)


def question(target: Target, kind: str, at: int) -> Question:
    match kind:
        case "good":
            return target.good(at)
        case "malformed":
            return Question(kind, target.path, target.malformed[at % len(target.malformed)])
        case "left":
            return Question(kind, target.path, target.long)
        case _:
            return Question(kind, target.path, b" " * (LIMIT + 1))


if __name__ == "__main__":
    raise SystemExit(main())
