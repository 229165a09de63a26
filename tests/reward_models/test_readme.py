"""Every snippet of the package's README runs, in order, with a server started as the README starts it."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.reward_models.processes import Servers

README = Path(__file__).resolve().parents[2] / "reward_models" / "README.md"


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_snippets_run(
    servers: Servers,
    reward_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(reward_model, "my-reward-model")
    (command,) = snippets("sh")
    python, module, name, folder, port_flag, port = shlex.split(command)
    assert (python, module, name, port_flag) == ("python", "-m", "rltk_reward_models.serve", "--port")
    server = servers.start(tmp_path / folder)
    names: dict[str, Any] = {}
    blocks = snippets("python")
    assert len(blocks) == 6
    for block in blocks:
        exec(block.replace(f"127.0.0.1:{port}", f"127.0.0.1:{server.port}"), names)
    lines, remote = capsys.readouterr().out.splitlines(), names["remote"]
    here = lines[:2]
    assert "True" in lines, "a fresh process scores alike"
    served = [scored.score for scored in remote.scores(names["conversations"])]
    assert served == pytest.approx([float(line.split()[0]) for line in here], abs=1e-5)
    assert (tmp_path / folder / "README.md").read_text(encoding="utf-8").count("Qwen3") == 2
    # (log(1 + e^-1.1) + log(1 + e^-0.5)) / 2 + 0.01 (1.5^2 + 0.3^2) / 2
    assert names["loss"].item() == pytest.approx(0.38071 + 0.0117, abs=1e-4)
    server.kill()


def test_the_client_needs_no_torch():
    code = "import sys, rltk_reward_models.client as c; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
