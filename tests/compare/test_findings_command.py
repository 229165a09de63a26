"""`rltk findings`: lists, refuses, measures, and tells what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rltk.cli import main
from rltk.compare.catalogue import load_catalogue
from rltk.compare.results import PUBLISHED, write_result

RESULT = {
    **{"verdict": "reproduced", "summary": "0 at the start", "value": 0.0, "interval": None, "details": {}},
    **{"date": "2026-01-02T03:04:05+00:00", "commit": "0123456789ab"},
}


def test_without_an_id_the_catalogue_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 49
    assert main(["findings"]) == 0
    printed = capsys.readouterr().out
    assert "INV-0 " in printed and "from the runs of RL-1" in printed and "a comparison" in printed


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        (
            "LR-6",
            "LR-6 cannot be measured on a laptop: the formula is for Qwen and Llama models from 1,024 wide on, and",
        ),
        ("RL-11", "there is no finding RL-11; did you mean RL-1"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(
    id: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also beside one that can, and before that one has begun."""
    assert main(["findings", "LAY-0", id, "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith(f"rltk: {expected}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ids", [[], ["LAY-0"]], ids=["all", "one"])
def test_a_page_is_of_the_status_alone(ids: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", *ids, "--markdown", "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "--markdown is a page of what --status tells; add --status" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_measured_finding_is_kept_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "LAY-0", "--out", str(tmp_path), "--strict"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("LAY-0: reproduced: 0.49/0.25/0.70/0.24 billion with the head, 4 of 4 rows as expected (")
    kept = json.loads((tmp_path / "LAY-0.json").read_text())
    assert kept["details"]["mlp r256"]["with_head"] == 256 * (1_769_472 + 132_352)  # counted by hand, a rank
    assert main(["findings", "LAY-0", "RL-1", "--status", "--json", "--out", str(tmp_path)]) == 0
    told = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert told["LAY-0"]["here"] == kept and told["RL-1"]["here"] is None
    assert told["LAY-0"]["reference"] and told["LAY-0"]["rule"]


def test_the_status_says_what_was_measured_and_what_was_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(tmp_path, "RL-1", RESULT | {"interval": [-0.0123, 0.0456]})
    nowhere = next(id for id in load_catalogue() if not (PUBLISHED / f"{id}.json").exists())
    assert main(["findings", "RL-1", nowhere, "--status", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (measured,) = [line for line in lines if line.startswith("RL-1 ")]
    assert "0 at the start" in measured and "reproduced" in measured
    assert "2026-01-02" in measured and "0123456789ab" in measured
    assert any("[-0.0123, 0.0456]" in line for line in lines)
    (missing,) = [line for line in lines if line.startswith(f"{nowhere} ")]
    assert "not measured here" in missing


@pytest.mark.parametrize("text", ["{", '{"finding": "RM-1"}', "[]"])
def test_a_damaged_result_is_a_sentence(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "RM-1.json").write_text(text)
    assert main(["findings", "--status", "--out", str(tmp_path)]) == 2
    assert "RM-1.json is " in capsys.readouterr().err


def test_asking_imports_nothing_heavy() -> None:
    code = "import sys; from rltk.cli import main; main(['findings', '--status']); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "peft", "scipy"} & set(done.stdout.split("\n"))
