"""`rltk completion`: what each shell offers with it, asked of the shell itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rltk.cli import COMMANDS, main
from rltk.recipe.locate import shipped_recipes
from tests.terminal import Terminal

OF_DPO = [name for name in shipped_recipes() if name.startswith("gsm8k_d")]


def script_for(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def completed(script: str, *words: str) -> list[str]:
    asked = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; _rltk"
    code = f"{script}\n{asked}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    found = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert not found.stderr
    return found.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="BASH NOT FOUND: its completion is not tried")
def test_bash_completes_commands_options_values_and_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    script = script_for("bash", capsys)
    assert completed(script, "rltk", "") == list(COMMANDS)
    assert completed(script, "rltk", "--ver") == ["--version"]
    assert completed(script, "rltk", "train", "--re") == ["--resume"]
    assert completed(script, "rltk", "runs", "--sort", "st") == ["started", "status", "steps"]
    assert completed(script, "rltk", "completion", "") == ["bash", "zsh", "fish"]
    assert completed(script, "rltk", "train", "") == list(shipped_recipes())
    assert completed(script, "rltk", "compare", "gsm8k_d") == completed(script, "rltk", "recipes", "gsm8k_d") == OF_DPO
    assert OF_DPO and completed(script, "rltk", "train", "x", "gsm8k_d") == completed(script, "rltk", "runs", "g") == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="FISH NOT FOUND: its completion is not tried")
def test_fish_completes_what_goes_with_the_command_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "completion.fish").write_text(script_for("fish", capsys))

    def offered(typed: str) -> list[str]:
        code = f"source completion.fish; complete -C '{typed}'"
        environment = {**os.environ, "HOME": str(tmp_path)}
        command = ["fish", "--no-config", "-c", code]
        found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        assert not found.stderr
        return [line.split("\t")[0] for line in found.stdout.splitlines()]

    assert set(offered("rltk ")) >= set(COMMANDS)
    assert offered("rltk --ver") == ["--version"]
    assert offered("rltk runs --s") == ["--sort", "--status"]
    assert offered("rltk runs --sort st") == ["started", "status", "steps"]
    assert offered("rltk watch runs --") == ["--every", "--help", "--once"]
    assert offered("rltk train gsm8k_d") == offered("rltk compare gsm8k_d") == OF_DPO
    assert offered("rltk train x gsm8k_d") == []


@pytest.mark.skipif(shutil.which("zsh") is None, reason="ZSH NOT FOUND: its completion is not tried")
@pytest.mark.parametrize("before", ["", "autoload -Uz compinit && compinit -u -D"])
def test_zsh_completes_whether_or_not_its_own_completion_is_on(
    before: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "init.zsh").write_text(f"{before}\n{script_for('zsh', capsys)}\necho status $?\n")
    terminal = Terminal("zsh", "-f", "-i", HOME=str(tmp_path), COLUMNS="200")
    terminal.press(f"cd {tmp_path}; PS1='> '; source ./init.zsh\n".encode())
    terminal.read_until("status 0")
    for typed, offered in (("rltk runs --sor\t", "rltk runs --sort"), ("rltk compare gsm8k_d\t", OF_DPO[0])):
        terminal.press(typed.encode())
        terminal.read_until(offered)
        terminal.press(b"\x15")
    terminal.press(b"exit\n")
    terminal.close()
    assert "command not found: comp" not in terminal.text


def test_fish_has_a_line_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    lines = script_for("fish", capsys).splitlines()
    seen = "complete -c rltk -n '__rltk_begins"
    assert [line for line in lines if line.startswith(f"{seen} runs' -l status -x -a 'running")]
    assert [line for line in lines if line.startswith(f"{seen} train' -l resume -d 'go on from the run\\'s last")]


def test_zsh_turns_its_completion_on_where_it_is_off(capsys: pytest.CaptureFixture[str]) -> None:
    lines = script_for("zsh", capsys).splitlines()
    assert lines[1].startswith("(( $+functions[compdef] )) || {") and "compinit" in lines[1]
