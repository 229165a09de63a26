"""The commands of a page, run one after the other in a folder of their own, small, by the rules for each."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from rltk.cli import main
from tests.documented.pages import commands
from tests.documented.place import prepare
from tests.documented.rules import SAMPLED, rule_for
from tests.documented.served import ask_and_end

STOPPED = "runs/gsm8k_grpo/1a2b3c4d5e6f"
STOPS = """
CALLS = []
def halfway(problems, completions):
    CALLS.append(1)
    {fault}
    return [float(len(completion)) for completion in completions]
"""


TryPage = Callable[..., None]
"""`tried`, but for what fixtures give: a page, and which of its commands are tried `elsewhere`."""


def tried(
    page: str,
    *,
    trained: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    elsewhere: Collection[str] = (),
) -> None:
    """Each of its commands ends well; `trained` are runs that they may name, and those `elsewhere` are left out."""
    monkeypatch.chdir(folder)
    prepare(folder, page, trained)
    found = [command for command in commands(page) if command.words[0] == "rltk" and command.text not in elsewhere]
    if any(STOPPED in command.text for command in found):
        stop_halfway(capfd)
    ran = 0
    for command in found:
        rule = rule_for(command)
        if not rule.not_run:
            words = [swapped(word, rule.swaps, trained) for word in command.words[1:]] + small_words(rule.more)
            monkeypatch.setattr("sys.stdin", io.StringIO("What is 2 + 2?\n"))
            status = ask_and_end(words) if rule.is_server else main(words)
            assert status == 0, f"{command.place}: {command.text}\n{capfd.readouterr().err}"
            ran += 1
    print(f"{page}: ran {ran} of {len(found)} commands")


def small_words(small: str) -> list[str]:
    """`eval={a: 1}` is one word, whatever blanks it holds."""
    return re.findall(r"\S+=\{[^}]*\}|\S+", small)


def swapped(word: str, swaps: tuple[tuple[str, str], ...], trained: dict[str, str]) -> str:
    for written, stands_for in swaps:
        word = re.sub(rf"\b{written}\b", stands_for.format(**trained), word)
    return word


def stop_halfway(capfd: pytest.CaptureFixture[str]) -> None:
    """Leaves an unfinished run where README has one."""
    own = Path("halfway.py")
    own.write_text(STOPS.format(fault="assert len(CALLS) < 2"))
    small = [*small_words(SAMPLED), "rewards.halfway={path: halfway.py}"]
    assert main(["train", "gsm8k_grpo", *small, "--run", STOPPED]) == 2
    own.write_text(STOPS.format(fault="pass"))
    capfd.readouterr()
