"""`rltk chat`, with its input from a pipe and on a terminal."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.commands.chat import readable
from rltk.rollout.sampler import Sampling
from tests import tiny
from tests.serving import made

ROOT = Path(__file__).resolve().parents[2]
TOKENS = 8


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What is answered to these lines of input."""

    def say(lines: Sequence[str], *argv: object) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert main(["chat", *map(str, argv), "--max-new-tokens", str(TOKENS)]) == 0
        printed = capfd.readouterr()
        assert printed.err == ""
        return printed.out.splitlines()

    return say


def reply(folders: dict[str, Path], name: str, *turns: str) -> str:
    """Greedy, to a conversation in which the person spoke first."""
    roles = ("user", "assistant")
    messages = [{"role": roles[index % 2], "content": turn} for index, turn in enumerate(turns)]
    text = tiny.tokenizer().apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = tiny.tokenizer().encode(str(text), add_special_tokens=False)
    [[rollout]] = made.alone(folders, name, [prompt], 1, Sampling(TOKENS, 0.0))
    return str(tiny.tokenizer().decode(rollout.tokens_T.tolist(), skip_special_tokens=True))


def test_a_conversation_is_remembered_until_a_new_one_begins(
    folders: dict[str, Path], say: Callable[..., list[str]]
) -> None:
    said = say(["1 + 2?", "", "and 3?", "/new", "and 3?"], folders["all"], "--dtype", "float32")
    first = reply(folders, "all", "1 + 2?")
    again = reply(folders, "all", "1 + 2?", first, "and 3?")
    fresh = reply(folders, "all", "and 3?")
    assert "\n".join(said) == "\n".join(map(readable, (first, again, fresh)))


def test_two_answer_beside_each_other_each_with_its_own_memory(
    folders: dict[str, Path], say: Callable[..., list[str]]
) -> None:
    lines, against = ["1 + 2?", "and 3?"], ("--against", folders["patterns"])
    said = "\n".join(say(lines, folders["all"], *against, "--dtype", "float32"))
    expected: list[str] = []
    for turn in range(2):
        for name in ("all", "patterns"):
            first = reply(folders, name, lines[0])
            text = first if turn == 0 else reply(folders, name, lines[0], first, lines[1])
            expected.append(f"{folders[name]}: {readable(text)}")
    assert said == "\n".join(expected)


def test_base_is_what_an_adapter_stands_on(folders: dict[str, Path], say: Callable[..., list[str]]) -> None:
    said = "\n".join(say(["1 + 2?"], folders["all"], "--against", "base", "--dtype", "float32"))
    assert said.endswith(f"base: {readable(reply(folders, 'base', '1 + 2?'))}")


def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    assert readable("a\x1b[2Jb\tc\nd\x07\u202e\u00e9") == "a\ufffd[2Jb\tc\nd\ufffd\ufffd\u00e9"


@pytest.mark.slow
def test_on_a_terminal_control_c_stops_an_answer_and_control_d_ends(folders: dict[str, Path]) -> None:
    sources = os.pathsep.join(str(ROOT / source) for source in (".", "eval", "reward_models"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rltk", "chat", str(folders["base"]), "--max-new-tokens", "480"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": sources, "TERM": "xterm", "CUDA_VISIBLE_DEVICES": ""},
    )
    os.close(theirs)
    try:
        assert "Ctrl-D ends" in read_until(ours, "> ")
        os.write(ours, b"1 + 2?\n")
        read_until(ours, "1 + 2?\r\n")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = read_until(ours, "> ")
        assert "Traceback" not in said
        os.write(ours, b"\x04")
        assert process.wait(timeout=300) == 0
    finally:
        process.kill()
        os.close(ours)


def read_until(terminal: int, end: str, seconds: float = 600) -> str:
    said, deadline = "", time.monotonic() + seconds
    while not said.endswith(end):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, said
        said += os.read(terminal, 4096).decode(errors="replace")
    return said
