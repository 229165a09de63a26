"""`rltk scaling fit`: planted laws come back, arms cross where they were made to, and odd files get one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from tests import files

SIZES = (1.0, 4.0, 16.0)
DATA = tuple(1000 * 2**k for k in range(7))


def law(arm: str, size: float, data: float) -> float:
    """LoRA: 6 / (X^0.1 D^0.1) + 1; full: 30 / (X^0.1 D^0.3) + 1. They cross at D = 5^5 = 3,125 at every size."""
    scale, exponent = (6.0, 0.1) if arm == "lora" else (30.0, 0.3)
    return scale / (size**0.1 * data**exponent) + 1.0


def rows() -> list[dict[str, Any]]:
    return [
        {"arm": arm, "size": size, "data": data, "loss": law(arm, size, data)}
        for arm in ("lora", "full")
        for size in SIZES
        for data in DATA
    ]


def written(path: Path, found: list[dict[str, Any]]) -> str:
    files.jsonl(path, found)
    return str(path)


def test_planted_laws_and_their_crossing_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, plot = (
        written(tmp_path / "r.jsonl", [*rows(), {"arm": "lora", "size": 1, "data": 9, "loss": None}]),
        tmp_path / "p.svg",
    )
    assert main(["scaling", "fit", results, "--json", "--draws", "5", "--plot", str(plot)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["failed_runs"], found["reference"]) == (1, "full")
    planted = found["arms"]["full"]["multiplicative"]["law"]
    assert planted["data_exponent"] == pytest.approx(0.3, rel=1e-3)
    assert planted["floor"] == pytest.approx(1.0, rel=1e-3)
    assert found["arms"]["lora"]["multiplicative"]["held_out"]["error"] < 1e-3
    assert set(found["arms"]["lora"]) == {"multiplicative", "additive"}
    assert [(one["arm"], one["size"], one["is_extrapolated"]) for one in found["crossings"]] == [
        ("lora", 1.0, False),
        ("lora", 4.0, False),
        ("lora", 16.0, False),
    ]
    assert all(one["data"] == pytest.approx(3125, rel=0.01) for one in found["crossings"])
    assert plot.read_text().startswith("<?xml") and plot.stat().st_size > 5000


def test_one_size_from_csv_and_a_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without sizes the additive law cannot be told, which is said and not a number."""
    lines = [f"{row['arm']},{row['data']},{row['loss']}" for row in rows() if row["size"] == 1]
    (tmp_path / "r.csv").write_text("\n".join(["arm,data,loss", *lines]))
    plot = tmp_path / "p.png"
    assert main(["scaling", "fit", str(tmp_path / "r.csv"), "--draws", "0", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "lora, additive: all runs have one size" in printed
    assert "lora falls behind full (size 1): at 3.1" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_results_that_are_not_there_are_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "results.jsonl", rows())
    assert main(["scaling", "fit", str(tmp_path / "result.jsonl")]) == 2
    assert capsys.readouterr().err == (
        f"rltk: {tmp_path}/result.jsonl does not exist; did you mean {tmp_path}/results.jsonl?\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("r.txt", "x", "results are read from .jsonl, .json and .csv files."),
        ("r.jsonl", "{", "is not the JSON that its name promises"),
        ("r.jsonl", "", "has no rows."),
        ("r.jsonl", '{"data": 1, "loss": 2}', "line 1: an object with arm, data and loss was expected."),
        ("r.jsonl", '{"arm": "a", "data": 0, "loss": 2}', "line 1: data = 0 must be greater than 0."),
        ("r.csv", "arm,data,loss\na,many,2", "line 2: data = 'many' must be a number."),
        ("r.jsonl", '{"arm": "a", "data": 1, "loss": null}', "no row has a loss, so there is nothing to fit."),
        ("r.jsonl", '{"arm": "a", "data": 1, "loss": 2}', "no law can be fitted: arm a: "),
        (
            "r.json",
            '[{"arm": "a", "size": 1, "data": 1, "loss": 2}, {"arm": "a", "data": 1, "loss": 2}]',
            "row 1: size is missing, and other rows have one",
        ),
    ],
)
def test_what_cannot_be_fitted_gets_one_sentence(
    name: str, text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["scaling", "fit", str(tmp_path / name)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and sentence in printed.err and printed.err.count("\n") == 1


def test_a_reference_that_is_no_arm_and_a_plot_of_no_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = written(tmp_path / "r.jsonl", rows())
    assert main(["scaling", "fit", results, "--reference", "fll"]) == 2
    assert "there is no such arm; there are full, lora." in capsys.readouterr().err
    assert main(["scaling", "fit", results, "--draws", "0", "--plot", str(tmp_path / "p.doc")]) == 2
    assert "a plot is written as .svg, .png, .pdf" in capsys.readouterr().err
