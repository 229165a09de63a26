"""A documented server: started in a process of its own, asked once, ended by SIGTERM."""

from __future__ import annotations

import json
import os
import signal
from urllib.request import Request, urlopen

from rltk_reward_models.client import RemoteScorer

from tests.forked import forked

TEXT = "\n\nHuman: What is 2 and 2?\n\nAssistant: 4"


def ask_and_end(words: list[str]) -> int:
    """Exit status of a server that answered."""
    pid, said = forked(words)
    first = said.readline()
    assert first.startswith("serving ") and " at http://127.0.0.1:" in first, first + said.read()
    address = first.split()[-1]
    try:
        if words[0] == "serve-reward":
            (scored,) = RemoteScorer(address).scores([TEXT])
            assert isinstance(scored.score, float)
        else:
            assert len(complete(address)) == 1
    finally:
        os.kill(pid, signal.SIGTERM)
        said.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status


def complete(address: str) -> list[object]:
    """What the last of its models writes, a token of it."""
    with urlopen(f"{address}/models") as answer:
        model = json.load(answer)["data"][-1]["id"]
    body = json.dumps({"model": model, "prompt": "What is 2 and 2?", "max_tokens": 1}).encode()
    with urlopen(Request(f"{address}/completions", body, {"Content-Type": "application/json"})) as answer:
        return json.load(answer)["choices"]
