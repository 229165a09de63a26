"""`rltk doctor`: without torch, and true to what it speaks of."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rltk.cli import main
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
