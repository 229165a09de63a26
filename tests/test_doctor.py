"""`rltk doctor`: without torch, and true to what it speaks of."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement

from rltk.cli import main
from rltk.commands.doctor import gpu_words, hub_words, recipe_words
from rltk.doctor.fit import fit_of, free_bytes, recipes_that_fit
from rltk.doctor.machine import Gpu, Machine, examine, least, memory_info, read_gpus
from rltk.doctor.network import Hub, answers, ask_hub
from rltk.doctor.packages import EXTRAS, judged
from rltk.recipe.locate import shipped_folder, shipped_recipes

ROOT = Path(__file__).resolve().parents[1]


def test_doctor_says_what_there_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == (0 if found["ok"] else 1)
    assert found["machine"]["cores"] >= 1 and found["machine"]["free_disk_bytes"] > 0
    versions = {package["name"]: package["version"] for package in found["packages"]}
    assert versions["torch"] is not None and found["torch"] is None
    assert main(["doctor"]) == status
    said = capsys.readouterr().out
    assert re.search(r"^cores +\d+$", said, flags=re.M) and re.search(r"^hub +not asked, HF_HUB_", said, flags=re.M)
    assert [fit["recipe"] for fit in found["recipes"]] == list(shipped_recipes())


@pytest.mark.parametrize("words", [["doctor"], ["runs", "."], ["completion", "bash"]])
def test_the_quick_part_needs_no_torch(words: list[str], tmp_path: Path):
    code = f"import sys; from rltk.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL).returncode == 0


def test_a_version_is_judged_by_the_range_that_was_tested():
    wanted = Requirement("torch>=2.8,<2.14")
    assert judged(wanted, "2.13.0+cpu").is_fit
    assert not judged(wanted, "2.14.0").is_fit
    assert not judged(wanted, None).is_fit


def test_memory_is_read_in_bytes(tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal:       16 kB\nMemAvailable:    4 kB\nHugePages_Total:       0\n")
    assert memory_info(tmp_path / "meminfo") == {"MemTotal": 16384, "MemAvailable": 4096}
    assert (least(16384, None), least(16384, 100), least(None, None)) == (16384, 100, None)


def test_a_container_has_no_more_free_than_it_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "max").write_text("1048576\n")
    monkeypatch.setattr("rltk.doctor.machine.LIMITS", (str(tmp_path / "max"),))
    found = examine()
    assert (found.memory_bytes, found.free_memory_bytes) == (2**20, 2**20)


def test_a_gpu_is_read_in_bytes_and_one_that_hides_its_memory_is_left_out() -> None:
    said = "NVIDIA H100 80GB HBM3, 81559, 60000, 550.54\nNVIDIA A100-PCIE, [N/A], [N/A], 550.54\n"
    assert read_gpus(said) == [Gpu("NVIDIA H100 80GB HBM3", 81559 * 2**20, 60000 * 2**20, "550.54")]
    assert gpu_words(read_gpus(said)[0]) == "NVIDIA H100 80GB HBM3, 79.6 GiB, 58.6 GiB of it free, driver 550.54"


def machine(**known: Any) -> Machine:
    blank = {"system": "", "python": "", "cores": 2, "memory_bytes": None, "free_memory_bytes": None}
    return Machine(
        **{
            **blank,
            "free_disk_bytes": 0,
            "accelerator_is_visible": False,
            "usual_dtype": "float32",
            "gpus": [],
            **known,
        }
    )


def test_a_recipe_fits_what_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "gsm8k_grpo", "--profile", "laptop", "--on", "cpu", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["arms"][0]["peak_memory_bytes"]["total"]
    path = shipped_recipes()["gsm8k_grpo"]
    found = [fit_of("gsm8k_grpo", path, machine(), free) for free in (planned, planned - 1, None)]
    assert {fit.needed_bytes for fit in found} == {planned}
    assert [fit.fits for fit in found] == [True, False, None]


def test_what_is_free_is_the_gpus_or_what_the_libraries_leave_of_the_hosts() -> None:
    small, large = (Gpu("", 10**10, free, "") for free in (10**9, 10**10))
    assert free_bytes(machine(free_memory_bytes=10, gpus=[small, large], accelerator_is_visible=True)) == 9 * 10**9
    assert free_bytes(machine(free_memory_bytes=3 * 2**30)) == 2 * 2**30
    assert free_bytes(machine(free_memory_bytes=3 * 2**30, gpus=[large])) == 2 * 2**30, "the environment hides it"
    assert free_bytes(machine()) is None
    assert free_bytes(machine(free_memory_bytes=10, accelerator_is_visible=True)) is None, "a GPU that no one describes"


def test_every_shipped_recipe_is_judged_and_said() -> None:
    fits = recipes_that_fit(machine(free_memory_bytes=2**40))
    assert [fit.recipe for fit in fits] == list(shipped_recipes()) and all(fit.fits for fit in fits)
    assert recipe_words(fits).startswith(f"{len(fits)} of {len(fits)} fit the free memory, with ")
    none = recipe_words(recipes_that_fit(machine(free_memory_bytes=2**30)))
    assert none.startswith(f"0 of {len(fits)} fit the free memory; ") and none.count(" needs ") == len(fits)


class Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)


def test_the_hub_answers_whatever_it_says_and_is_not_waited_for() -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert answers(f"http://127.0.0.1:{server.server_port}", patience=60)
        server.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert not answers(address, patience=0.2)
    assert not answers(address, patience=60), "nobody listens any more"


def test_a_hub_that_nothing_asks_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert ask_hub() == Hub(constants.ENDPOINT, is_offline=True, answers=None)
    assert hub_words(ask_hub()).startswith("not asked, HF_HUB_OFFLINE is set")


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


class Yaml12(yaml.SafeLoader):
    """Numbers as an editor reads them: 5e-4 is one, and not a text."""


Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
MODELINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_is_valid_by_the_schema_that_its_header_names(name: str) -> None:
    """As an editor sees it: of the file alone, without rltk."""
    path = shipped_recipes()[name]
    text = path.read_text(encoding="utf-8")
    (beside,) = MODELINE.findall(text)
    schema = json.loads((path.parent / beside).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(yaml.load(text, Yaml12))] == []


@pytest.mark.parametrize(
    ("written", "misspelt"),
    [("  steps: 200", "  step: 200"), ("  steps: 200", "  steps: many"), ("  type: grpo", "  type: gpro")],
)
def test_the_schema_sees_a_mistake(written: str, misspelt: str) -> None:
    text = shipped_recipes()["gsm8k_grpo"].read_text(encoding="utf-8")
    assert written in text
    schema = json.loads((shipped_folder() / "recipe.schema.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(text.replace(written, misspelt, 1))))


def test_there_are_fifteen_recipes() -> None:
    assert len(shipped_recipes()) == 15


def test_the_schema_beside_the_recipes_is_that_of_this_version(capsys: pytest.CaptureFixture[str]):
    assert main(["schema"]) == 0
    kept = (shipped_folder() / "recipe.schema.json").read_text(encoding="utf-8")
    assert kept == capsys.readouterr().out, "rltk schema > recipes/recipe.schema.json"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch):
    from rltk.evaluation.tables import console

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().no_color
