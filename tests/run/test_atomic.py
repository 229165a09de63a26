"""Files that are as they were or complete, whatever happens while they are written."""

import json
import math
import os
import shutil
from pathlib import Path

import pytest

from rltk.run.atomic import new_folder, remove_folder, remove_leftovers, write_json, write_jsonl, write_text
from tests.runs import names


class CrashError(Exception):
    pass


def crash(*_: object) -> None:
    raise CrashError


def test_an_interrupted_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"
    write_text(file, "before")
    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(CrashError):
        write_text(file, "after")
    assert file.read_text() == "before"


def test_what_cannot_be_written_as_json_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert names(tmp_path) == ["a.json"]


def test_an_undefined_number_is_null_at_any_depth(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [1, (math.inf, -math.inf)], "c": {"d": 0.5, "e": None}})
    expected = {"a": None, "b": [1, [None, None]], "c": {"d": 0.5, "e": None}}
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=crash) == expected


def test_lines_hold_one_row_each_whatever_is_in_them(tmp_path: Path) -> None:
    rows = [{"text": "two\nlines \u2028 \u0085"}, {"number": 1e-7}, {"number": math.nan}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [*rows[:2], {"number": None}]
    write_jsonl(tmp_path / "a.jsonl", [])
    assert (tmp_path / "a.jsonl").read_text() == ""


def test_a_folder_is_there_only_when_it_is_complete(tmp_path: Path) -> None:
    with pytest.raises(CrashError), new_folder(tmp_path / "made") as beside:
        (beside / "a").write_text("half")
        raise CrashError
    assert not (tmp_path / "made").exists()
    with new_folder(tmp_path / "made") as beside:
        assert names(beside) == [], "nothing is left of the attempt before"
        (beside / "b").write_text("whole")
        assert not (tmp_path / "made").exists()
    assert names(tmp_path) == ["made"] and names(tmp_path / "made") == ["b"]


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with new_folder(tmp_path / "made") as beside:
            (beside / name).write_text("")
    assert names(tmp_path / "made") == ["new"]


def test_files_of_a_folder_are_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with new_folder(tmp_path / "made") as beside:
            (beside / "inner").mkdir()
            for file in (beside / "a", beside / "inner" / "b"):
                file.touch(mode=0o600)
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode & 0o777) for file in (tmp_path / "made").rglob("[ab]")] == ["0o640", "0o640"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step-000002.writing").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".step-000002.writing" / "weights.safetensors").write_text("")
    (tmp_path / ".metrics.jsonl.writing").write_text("")
    for kept in (".lock", "metrics.jsonl", "a.writing"):
        (tmp_path / kept).write_text("")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".lock", "a.writing", "checkpoints", "metrics.jsonl"]
    assert names(tmp_path / "checkpoints") == []


def whole_folder(path: Path, text: str) -> None:
    with new_folder(path) as beside:
        for name in ("a", "b", "c"):
            (beside / name).write_text(text)


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_folder_is_never_half_under_its_name(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    whole_folder(made, "before")

    def killed_after_one(path: Path, ignore_errors: bool = False) -> None:
        for file in list(path.iterdir() if path.exists() else ())[:1]:
            file.unlink()
            raise CrashError

    monkeypatch.setattr(shutil, "rmtree", killed_after_one)
    with pytest.raises(CrashError):
        whole_folder(made, "after") if how == "replaced" else remove_folder(made)
    assert {file.name: file.read_text() for file in made.glob("*")} == (
        dict.fromkeys(("a", "b", "c"), "after") if how == "replaced" else {}
    )
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == (["made"] if how == "replaced" else [])
