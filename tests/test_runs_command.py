"""`rltk runs` and `rltk watch`: what is listed, in which order, and what became of a run that says it runs."""

import json
import shutil
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.run.atomic import write_text
from rltk.run.folder import RunFolder
from rltk.run.lock import locked
from tests.report import made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs and one that says it is running, though no process works on it; and a damaged one."""
    right, wrong = "#### 2", "#### 3"
    made.run(tmp_path / "runs" / "a", {"before": [wrong, wrong], "after": [right, right]}, started="2026-01-03")
    made.run(tmp_path / "runs" / "b", {"after": [right, wrong]}, started="2026-01-02")
    made.run(tmp_path / "runs" / "c", {}, started="2026-01-01", status="running")
    write_text(tmp_path / "runs" / "d" / "manifest.json", "{")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    assert main(["runs", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_runs_are_listed_the_newest_last(folder: Path, capsys: pytest.CaptureFixture[str]):
    rows = listed(capsys)
    assert [row["id"] for row in rows] == ["c", "b", "a"]
    assert rows[2] | {"path": ""} == rows[2] | {
        "path": "", "algo": "grpo", "arm": "lora-4", "status": "finished", "steps": 4, "total": 4,
        "metric": "accuracy", "before": 0.0, "after": 1.0,
    }  # fmt: skip


def test_runs_are_sorted_and_filtered(folder: Path, capsys: pytest.CaptureFixture[str]):
    texts = {"before": ["#### 2"] + 3 * ["#### 3"], "after": 3 * ["#### 2"] + ["#### 3"]}
    made.run(folder / "oldest", texts, started="2025-12-31")
    assert [row["id"] for row in listed(capsys)] == ["oldest", "c", "b", "a"]
    assert [row["id"] for row in listed(capsys, "--sort", "after")] == ["c", "b", "oldest", "a"]
    assert [row["id"] for row in listed(capsys, "--sort", "before")] == ["c", "b", "a", "oldest"]
    shutil.rmtree(folder / "oldest")
    assert [row["id"] for row in listed(capsys, "--status", "finished", "--sort", "name")] == ["b", "a"]
    assert listed(capsys, "--arm", "full") == []


def test_a_run_whose_process_is_gone_is_stopped(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert listed(capsys)[0]["status"] == "stopped"
    with locked(folder / "c", is_new=False):
        assert listed(capsys)[0]["status"] == "running"
    assert not (folder / "a" / ".lock").exists(), "looking leaves nothing behind"


def test_no_folder_is_cut_short(folder: Path, capsys: pytest.CaptureFixture[str]):
    name = "a-long-arm-lr0.000202-seed100-" * 4
    made.run(folder / "compare" / name, {"after": ["#### 2"]})
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert f"\nruns/compare/{name} " in out, "into a pipe it is written whole"
    assert main(["watch", "--once"]) == 0
    assert "\u2026" not in capsys.readouterr().out, "on a screen it may take two lines"


def test_the_table_says_what_a_run_came_to(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["runs/c", "runs/b", "runs/a"]
    assert "0.0% -> 100.0%" in out and "- -> 50.0%" in out


def test_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    for command in ("runs", "watch"):
        assert main([command]) == 2
        assert "there is no folder runs" in capsys.readouterr().err
    (tmp_path / "runs").mkdir()
    assert main(["runs"]) == 0
    assert capsys.readouterr().out == "no runs in runs\n"


def test_watch_shows_the_newest_run_with_its_metrics(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["watch", "--once"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (reward,) = [line for line in lines if line.startswith("Reward")]
    assert reward.split() == ["Reward", "\u2581\u2583\u2586\u2588", "0.4", "0.1", "0.4"]
    assert any(line.strip() == "runs/a" for line in lines)


def test_watch_shows_what_the_newest_step_wrote(folder: Path, capsys: pytest.CaptureFixture[str]):
    rows = [
        {"step": 4, "id": "1", "prompt": "How many\nare they?", "completion": "#### 2", "reward": 1.0},
        {"step": 4, "id": "2", "prompt": "[bold]Where?", "completion": "There.\x1b[2J" + "far " * 100, "reward": None},
    ]
    RunFolder(folder / "a").write_latest(rows)
    assert main(["watch", "--once"]) == 0
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    shown = lines[lines.index("step 4 wrote") + 2 :]
    assert shown[:3] == ["1.00  How many are they?", "#### 2", "none  [bold]Where?"]
    assert shown[3].startswith("There.\ufffd[2Jfar far") and out.rstrip().endswith("...")
    assert "\x1b" not in out
