"""The embedded policy on the real GSM8K, MATH and MATH-500. It was taught none of this: what counts is the path."""

import json
from collections import Counter
from pathlib import Path

import pytest
from rltk_eval.answers import grade_all

from rltk.cli import main
from tests import runs

TASKS = {"gsm8k": "gsm8k/zero-shot@1", "math": "math/zero-shot@1", "math500": "math/zero-shot@1"}


def test_real_problems_are_asked_and_graded(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    tasks = [word for task in TASKS for word in ("--task", task)]
    argv = ["eval", "embedded/policy", *tasks, "--data-root", str(shared_data), "--limit", "20", "--samples", "2"]
    assert main([*argv, "--k", "2", "--max-new-tokens", "8", "--out", str(tmp_path / "out"), "--json"]) == 0
    scores = json.loads(capfd.readouterr().out)["scores"]
    assert {name: score["prompt"]["name"] for name, score in scores.items()} == TASKS
    for name, score in scores.items():
        assert (score["n"], score["sampled"]["samples"]) == (20, 40)
        rows = runs.rows(tmp_path / "out" / "items" / f"{name}.jsonl")
        assert Counter(row["decoding"] for row in rows) == {"greedy": 20, "sampled": 40}
        texts, golds = [row["completion"] for row in rows], [row["gold"] for row in rows]
        grades = grade_all(texts, golds, kind="number" if name == "gsm8k" else "math")
        assert [row["answer"] for row in rows] == [grade.answer for grade in grades]
        for row, grade in zip(rows, grades, strict=True):  # a machine that pauses makes checks late
            assert "timeout" in (row["verdict"], grade.verdict.value) or row["verdict"] == grade.verdict.value
    assert sum(part["n"] for part in scores["math500"]["by_subject"].values()) == 20
    assert set(scores["math"]["by_level"]) <= {"1", "2", "3", "4", "5"} and len(scores["math"]["by_subject"]) == 7

    assert main(["eval", str(tmp_path / "out"), "--task", "math500", "--by", "subject"]) == 0
    told = capfd.readouterr().out
    assert "greedy, subject Algebra" in told and "pass@" not in told
