"""What the person watching sees: one live line on a terminal that is whole again afterwards, plain lines elsewhere."""

import re
import sys
from pathlib import Path

import pytest

from rltk.run.progress import Watch, duration
from tests import runs
from tests.terminal import Terminal

STEP = {"step": 3, "reward": 0.25, "sampled_tokens_per_second": 1234.5}
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
"""How a terminal is told to hide the cursor, and to show it."""


ROUNDED = {0: "0s", 59.4: "59s", 59.6: "1m 00s", 61: "1m 01s", 3599.6: "1h 00m", 7384: "2h 03m", 90_000: "25h 00m"}


@pytest.mark.parametrize(("seconds", "said"), ROUNDED.items())
def test_durations_are_rounded_once(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_pipe_gets_a_line_a_step(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Watch(steps=5) as watch:
        watch.say("[bold]not markup[/bold] 50% " + "long " * 40)
        watch.evaluating("test before", 1, 2)
        watch.evaluating("test before", 2, 2)
        watch.start_steps(2)
        watch.step(STEP)
        watch.step({**STEP, "step": 4, "accuracy": 0.5})
        watch.step({**STEP, "step": 5})
    said, evaluated, *steps = capsys.readouterr().err.splitlines()
    assert said == "[bold]not markup[/bold] 50% " + "long " * 40
    assert evaluated == "test before 2/2"
    assert steps == [
        "step 3/5 reward 0.250, 1,234 tokens/s, 0s left",
        "step 4/5 reward 0.250, accuracy 50.0%, 1,234 tokens/s, 0s left",
        "step 5/5 reward 0.250, accuracy 50.0%, 1,234 tokens/s, 0s left",
    ]


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Watch(steps=5, is_quiet=True) as watch:
        watch.say("a")
        watch.step(STEP)
    assert capsys.readouterr() == ("", "")


PROGRAM = """
import time
from rltk.run.interrupt import Stop
from rltk.run.progress import Watch
watch = Watch(steps=100_000)
stop = Stop(watch.say)
with watch, stop.listening(), stop.after_this_step():
    step = 0
    while not stop.is_asked:
        step += 1
        watch.step({"step": step, "reward": 0.25, "sampled_tokens_per_second": 100.0})
        time.sleep(0.05)
print("over", flush=True)
"""


def test_control_c_ends_the_live_line_and_shows_the_cursor_again() -> None:
    terminal = Terminal(sys.executable, "-c", PROGRAM)
    terminal.read_until(" left")
    terminal.press(b"\x03")
    assert terminal.close() == 0
    assert_whole_again(terminal)
    assert terminal.plain().endswith("\n\rover\r\n")


BOTH = """
import sys
from pathlib import Path
from rltk.compare.survey import survey
from rltk.compare.watch import Board
from rltk.run.progress import Watch
from tests.compare import made
with Watch(steps=9) as watch:
    watch.step({"step": 3, "reward": 0.25, "sampled_tokens_per_second": 100.0})
    watch.live.refresh()
comparison = made.begun(Path(sys.argv[1]))
found = survey(comparison)
with Board(comparison, is_quiet=False) as board:
    board.begin(found)
    board.show(found.pending[:1])
print("over", flush=True)
"""
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
"""An escape code that sets a colour, of text or behind it."""


@pytest.mark.parametrize("is_plain", [False, True])
def test_no_color_leaves_progress_and_board_without_colours(is_plain: bool, tmp_path: Path) -> None:
    no_color = {"NO_COLOR": "1"} if is_plain else {"NO_COLOR": "", "COLORTERM": ""}
    terminal = Terminal(sys.executable, "-c", BOTH, str(tmp_path), **no_color)
    terminal.read_until("over")
    assert terminal.close() == 0
    assert "3/9 reward 0.250" in terminal.plain() and "runs to make now" in terminal.plain()
    assert (COLOUR.search(terminal.text) is None) == is_plain


def assert_whole_again(terminal: Terminal) -> None:
    assert HIDDEN in terminal.text and terminal.text.rindex(SHOWN) > terminal.text.rindex(HIDDEN)
    text = terminal.plain()
    assert "/100000 reward " in text and not re.search(r"\nstep \d", text), "steps are no lines of their own"
    assert "stopping after this step; press Ctrl-C again to stop at once" in text


@pytest.mark.slow
def test_a_terminal_has_a_live_line_and_is_whole_again_after_control_c(guesser: Path, tmp_path: Path) -> None:
    """Ctrl-C as a terminal sends it: to the program, which ends after its step and shows the cursor again."""
    recipe, run = runs.write_recipe(tmp_path, guesser, optim={"steps": 100_000}), tmp_path / "run"
    terminal = Terminal(sys.executable, "-m", "rltk", "train", str(recipe), "--run", str(run))
    terminal.read_until(" left")
    terminal.press(b"\x03")
    assert terminal.close() == 130
    assert_whole_again(terminal)
    last = terminal.plain().rstrip().splitlines()[-1]
    assert re.fullmatch(f"interrupted; go on after step \\d+ with: rltk train {re.escape(str(run))} --resume", last)
    assert runs.read(run / "manifest.json")["status"] == "interrupted"


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines(guesser: Path, tmp_path: Path) -> None:
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 2})
    terminal = Terminal(sys.executable, "-m", "rltk", "train", str(recipe), TERM="dumb")
    assert terminal.close() == 0
    assert "\x1b" not in terminal.text
    assert "\nstep 2/2 reward " in terminal.text


@pytest.mark.slow
def test_quiet_on_a_terminal_leaves_the_cursor_alone(guesser: Path, tmp_path: Path) -> None:
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 2})
    terminal = Terminal(sys.executable, "-m", "rltk", "train", str(recipe), "--quiet")
    assert terminal.close() == 0
    assert "\x1b" not in terminal.text
    assert terminal.text.count("\n") == 1 and terminal.text.startswith("test: greedy ")
