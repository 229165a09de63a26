"""The shipped GSM8K recipe on GSM8K itself, end to end; about the path, since so few steps say little of accuracy."""

import json
from collections import Counter
from pathlib import Path

import pytest
from rltk_eval.answers import grade_number

from rltk.cli import main
from rltk.data.problems import load_problems
from rltk.recipe.schema import Data
from tests import runs
from tests.forks import ROOT

PROMPT = "{question}\n\nThink step by step, and end with a line of `#### ` and the number alone."
STEPS, ASKED = 5, 60


@pytest.mark.slow
def test_the_recipe_trains_on_the_real_problems(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder, run = shared_data / "openai" / "gsm8k", tmp_path / "run"
    overrides = [f"data.path={folder}", "data.config=main", f"optim.steps={STEPS}", f"eval.limit={ASKED}"]
    argv = ["train", str(ROOT / "recipes" / "gsm8k_grpo.yaml"), *overrides, f"data.prompt={json.dumps(PROMPT)}"]
    assert main([*argv, "--run", str(run), "--quiet"]) == 0

    manifest = runs.read(run / "manifest.json")
    assert (manifest["profile"], manifest["status"]) == ("laptop", "finished")
    rows = runs.rows(run / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert all(row["sampled_tokens"] > 0 and row["skipped_updates"] == 0 for row in rows)
    test = load_problems(Data(path=str(folder), config="main"), "test")[:ASKED]
    scores = runs.read(run / "scores.json")
    for when in ("before", "after"):
        items = runs.rows(run / "items" / f"{when}-gsm8k.jsonl")
        assert Counter(item["decoding"] for item in items) == {"greedy": ASKED, "sampled": ASKED}
        assert scores[when]["gsm8k"]["n"] == scores[when]["gsm8k"]["sampled"]["n"] == ASKED
        for item, problem in zip(items, [*test, *test], strict=True):
            assert (item["id"], item["gold"]) == (problem.id, problem.answer)
            assert PROMPT.replace("{question}", problem.question) in item["prompt"]
            grade = grade_number(item["completion"], problem.answer)
            assert (item["answer"], item["correct"]) == (grade.answer, grade.correct)
