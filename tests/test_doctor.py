"""`rltk doctor` and `rltk completion`: both without torch, and true to what they speak of."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rltk.cli import COMMANDS, main
from rltk.doctor.machine import least, memory_info
from rltk.doctor.packages import EXTRAS, judged
from rltk.recipe.locate import shipped_folder, shipped_recipes

ROOT = Path(__file__).resolve().parents[1]


def test_doctor_says_what_there_is(capsys: pytest.CaptureFixture[str]):
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == (0 if found["ok"] else 1)
    assert found["machine"]["cores"] >= 1 and found["machine"]["free_disk_bytes"] > 0
    versions = {package["name"]: package["version"] for package in found["packages"]}
    assert versions["torch"] is not None and found["torch"] is None
    assert main(["doctor"]) == status
    assert re.search(r"^cores +\d+$", capsys.readouterr().out, flags=re.M)


@pytest.mark.parametrize("words", [["doctor"], ["runs", "."], ["completion", "bash"]])
def test_the_quick_part_needs_no_torch(words: list[str], tmp_path: Path):
    code = f"import sys; from rltk.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0


def test_a_version_is_judged_by_the_range_that_was_tested():
    wanted = Requirement("torch>=2.8,<2.14")
    assert judged(wanted, "2.13.0+cpu").is_fit
    assert not judged(wanted, "2.14.0").is_fit
    assert not judged(wanted, None).is_fit


def test_memory_is_read_in_bytes(tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal:       16 kB\nMemAvailable:    4 kB\nHugePages_Total:       0\n")
    assert memory_info(tmp_path / "meminfo") == {"MemTotal": 16384, "MemAvailable": 4096}
    assert (least(16384, None), least(16384, 100), least(None, None)) == (16384, 100, None)


def test_every_extra_has_a_purpose():
    (section,) = re.findall(
        r"\[project.optional-dependencies\]\n(.*?)\n\n", (ROOT / "pyproject.toml").read_text(), re.S
    )
    assert set(re.findall(r"^(\w+) = ", section, re.M)) - {"dev"} == set(EXTRAS)


def completed(script: str, *words: str) -> list[str]:
    asked = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _rltk"
    code = f"{script}\n{asked}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    found = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert not found.stderr
    return found.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="BASH NOT FOUND: its completion is not tried")
def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert completed(script, "rltk", "") == list(COMMANDS)
    assert completed(script, "rltk", "train", "--re") == ["--resume"]
    assert completed(script, "rltk", "runs", "--sort", "st") == ["started", "status", "steps"]
    assert completed(script, "rltk", "completion", "") == ["bash", "zsh", "fish"]


def test_fish_has_a_line_an_option(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    seen = "complete -c rltk -n '__fish_seen_subcommand_from"
    assert [line for line in lines if line.startswith(f"{seen} runs' -l status -x -a 'running")]
    assert [line for line in lines if line.startswith(f"{seen} train' -l resume -d 'go on from the run\\'s last")]


def test_recipes_name_the_schema_beside_them():
    recipes = shipped_recipes().values()
    assert recipes
    for path in recipes:
        assert "# yaml-language-server: $schema=recipe.schema.json\n" in path.read_text(encoding="utf-8"), path


def test_the_schema_beside_the_recipes_is_that_of_this_version(capsys: pytest.CaptureFixture[str]):
    assert main(["schema"]) == 0
    kept = (shipped_folder() / "recipe.schema.json").read_text(encoding="utf-8")
    assert kept == capsys.readouterr().out, "rltk schema > recipes/recipe.schema.json"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch):
    from rltk.evaluation.tables import console

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
