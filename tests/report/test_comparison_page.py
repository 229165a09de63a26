"""The page of a comparison: the verdict first, then what it rests on."""

import json
from pathlib import Path

from rltk.cli import main
from rltk.report.read import read_comparison
from rltk.report.verdict import charts
from tests.report import made

VERDICT = {
    "verdict": "non_inferior", "sentence": "lora is <not> inferior to full.", "difference": 0.01,
    "interval": [-0.01, 0.03],
}  # fmt: skip
FOUND = {
    "name": "gsm8k", "sentence": "lora: not inferior to full (margin 0.02).", "reference": "full",
    "margin": {"value": 0.02, "rule": "fixed"},
    "arms": {
        "full": {"of": "full", "lr": 1e-5, "accuracy": 0.5, "seeds": {"1": 0.4, "2": 0.6}},
        "lora": {"of": "lora", "lr": 1e-4, "accuracy": 0.51, "seeds": {"1": 0.45, "2": 0.57}},
        "control": {"of": "full", "lr": 1e-7, "accuracy": 0.1, "seeds": {"1": 0.1, "2": 0.1}},
    },
    "verdicts": {"lora": VERDICT},
    "sweep": {
        "lora": [
            {"lr": 1e-4, "seed": 0, "steps": 8, "accuracy": 0.5, "failure": None},
            {"lr": 1e-3, "seed": 0, "steps": 8, "accuracy": None, "failure": "diverged"},
            {"lr": 1e-5, "seed": 0, "steps": 4, "accuracy": 0.2, "failure": None},
        ]
    },
    "notes": ["runs failed"],
}  # fmt: skip
COSTS = {"lora": {"seconds": 12.5, "tokens": 40_000, "peak_memory_bytes": 2**30}}


def comparison(folder: Path) -> Path:
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(FOUND))
    (folder / "costs.json").write_text(json.dumps(COSTS))
    for seed in (1, 2):
        made.run(folder / "confirmation" / f"lora-lr0.0001-seed{seed}-ab", {"after": ["#### 2"]})
    return folder


def test_the_verdict_comes_first(tmp_path: Path):
    folder = comparison(tmp_path / "c")
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.index(FOUND["sentence"]) < page.index("<table>")
    assert "lora is &lt;not&gt; inferior" in page and "non inferior" in page and "1.00 GiB" in page
    assert 'href="confirmation/lora-lr0.0001-seed2-ab/"' in page


def test_seeds_are_paired_and_the_margin_is_drawn(tmp_path: Path):
    difference, rates = charts(read_comparison(comparison(tmp_path / "c")), [])
    assert difference.rules[0].y == 0.02 and difference.rules[-1].y == -0.02
    assert [round(mark.y, 9) for mark in difference.marks] == [0.05, -0.03, 0.01]
    assert [(mark.x, mark.y) for mark in rates.marks] == [(1e-4, 0.5)]  # a failure is no number, 4 steps are not 8


def test_curves_of_an_arm_are_its_seeds_and_their_mean(tmp_path: Path):
    from rltk.report.page import runs_under

    folder = comparison(tmp_path / "c")
    curves = charts(read_comparison(folder), runs_under(folder / "confirmation"))[-1]
    assert [line.is_faint for line in curves.lines] == [True, True, False]
    assert curves.lines[-1].points[:2] == [(1, 0.1), (2, 0.2)]
