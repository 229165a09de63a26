"""`rltk watch` on a terminal of 24 lines: what runs is there at once, however many runs there are, and goes on."""

import sys
import time
from pathlib import Path

import pytest

from rltk.run.atomic import append_jsonl
from rltk.run.folder import RunFolder
from rltk.run.lock import locked
from tests.report import made
from tests.terminal import Terminal

LINES = 24


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A comparison's 30 finished runs, and one that its manifest says is running; it is the oldest."""
    for number in range(30):
        path = tmp_path / "runs" / "compare" / "tuning" / f"lora-4-seed{number:02}"
        made.run(path, {"after": ["#### 2"]}, started=f"2026-01-02T03:04:{number:02}+00:00")
    made.run(tmp_path / "runs" / "mine", {}, started="2026-01-01", status="running")
    rows = [
        {"step": 4, "id": str(number), "prompt": "What?", "completion": "That.", "reward": 1.0} for number in range(4)
    ]
    RunFolder(tmp_path / "runs" / "mine").write_latest(rows)
    return tmp_path / "runs"


def watching(folder: Path, lines: int) -> Terminal:
    command = (sys.executable, "-m", "rltk", "watch", str(folder), "--every", "0.2")
    return Terminal(*command, COLUMNS="150", LINES=str(lines))


def pictures(terminal: Terminal) -> list[list[str]]:
    """The lines of everything that was drawn whole, one after another."""
    first, *others = terminal.text.split("\x1b[1A")
    plain = [first, *(part for part in others if part.count("\n") > 1)]
    return [Terminal.without_codes(part).replace("\r", "").split("\n") for part in plain]


def test_what_runs_is_seen_although_there_are_more_runs_than_lines(many: Path) -> None:
    with locked(many / "mine", is_new=False):
        terminal = watching(many, LINES)
        terminal.read_until("more: rltk runs")
        append_jsonl(many / "mine" / "metrics.jsonl", [{"step": 5, "reward": 0.9}])
        terminal.read_until(" 0.9")
        finish(many / "mine")
    assert terminal.close() == 0
    first = pictures(terminal)[0]
    assert len(first) <= LINES
    (reward,) = [line for line in first if line.startswith("Reward")]
    assert reward.split()[-3:] == ["0.4", "0.1", "0.4"]
    listed = [line for line in first if "lora-4-seed" in line]
    assert any("mine" in line and "running" in line for line in first), "first in the table"
    assert listed and "seed29" in listed[0], "then the newest"
    assert f"and {30 - len(listed)} more: rltk runs" in first
    assert any("0.9" in line for picture in pictures(terminal) for line in picture if line.startswith("Reward"))


def finish(run: Path) -> None:
    RunFolder(run).update_manifest(status="finished")
    time.sleep(0.1)


def test_on_a_tall_terminal_the_newest_completions_are_there_too(many: Path) -> None:
    with locked(many / "mine", is_new=False):
        terminal = watching(many, 50)
        terminal.read_until("seed00")
        finish(many / "mine")
    assert terminal.close() == 0
    first = pictures(terminal)[0]
    assert len(first) <= 50
    places = [
        next(at for at, line in enumerate(first) if words in line) for words in ("Reward", "step 4 wrote", "seed29")
    ]
    assert places == sorted(places)
    assert sum("That." in line for line in first) == 4
