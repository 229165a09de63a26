"""`rltk doctor` and `rltk completion`: both without torch, and true to what they speak of."""

import json
import os
import re
import shutil
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

from rltk.cli import COMMANDS, main
from rltk.commands.doctor import gpu_words, hub_words, recipe_words
from rltk.doctor.fit import fit_of, free_bytes, recipes_that_fit
from rltk.doctor.machine import Gpu, Machine, least, memory_info, read_gpus
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


def test_a_gpu_is_read_in_bytes_and_one_that_hides_its_memory_is_left_out() -> None:
    said = "NVIDIA H100 80GB HBM3, 81559, 60000, 550.54\nNVIDIA A100-PCIE, [N/A], [N/A], 550.54\n"
    assert read_gpus(said) == [Gpu("NVIDIA H100 80GB HBM3", 81559 * 2**20, 60000 * 2**20, "550.54")]
    assert gpu_words(read_gpus(said)[0]) == "NVIDIA H100 80GB HBM3, 79.6 GiB, 58.6 GiB of it free, driver 550.54"


def machine(**known: Any) -> Machine:
    blank = {"system": "", "python": "", "cores": 2, "memory_bytes": None, "free_memory_bytes": None}
    return Machine(**{**blank, "free_disk_bytes": 0, "accelerator_is_visible": False, "gpus": [], **known})


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


IN_ZSH = """
source $1
print -r -- $_comps[rltk]
for typed in "rltk " "rltk train --re" "rltk runs --sort st"; do
  words=("${(@s: :)typed}") CURRENT=$#words
  COMP_WORDS=($words) COMP_CWORD=$((CURRENT - 1))
  print -r -- $(compgen -F _rltk -- $words[-1])
done
"""


def shell(command: list[str], home: Path) -> list[str]:
    """What it says, line by line, and no complaint; a start of its own, without the user's files."""
    environment = {**os.environ, "HOME": str(home), "ZDOTDIR": str(home), "XDG_CONFIG_HOME": str(home)}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert not found.stderr
    return found.stdout.splitlines()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="ZSH NOT FOUND: its completion is not tried")
def test_zsh_is_offered_what_bash_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Of options it is offered all, and keeps those that begin as what was typed."""
    assert main(["completion", "zsh"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    taken, first, options, values = shell(["zsh", "-fc", IN_ZSH, "zsh", str(tmp_path / "script")], tmp_path)
    assert taken.startswith("_bash_complete ") and first.split() == list(COMMANDS)
    assert "--resume" in options.split() and values.split()[:2] == ["started", "name"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="FISH NOT FOUND: its completion is not tried")
def test_fish_completes_commands_options_and_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "fish"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    for typed, expected in (
        ("rltk comp", ["compare", "completion"]),
        ("rltk train --re", ["--resume"]),
        ("rltk runs --sort st", ["started", "status", "steps"]),
    ):
        said = shell(["fish", "-c", f"source {tmp_path / 'script'}; complete -C '{typed}'"], tmp_path)
        assert [line.split("\t")[0] for line in said if line] == expected


def test_fish_has_a_line_an_option(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    seen = "complete -c rltk -n '__fish_seen_subcommand_from"
    assert [line for line in lines if line.startswith(f"{seen} runs' -l status -x -a 'running")]
    assert [line for line in lines if line.startswith(f"{seen} train' -l resume -d 'go on from the run\\'s last")]


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
