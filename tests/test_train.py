"""`rltk train`: what a run leaves on disk and says, and what is refused before anything is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from safetensors.torch import load_file

from rltk.cli import main
from rltk.recipe.load import load_recipe
from rltk.recipe.resolved import recipe_hash, resolved
from tests import runs
from tests.forks import SOURCES

METRICS = {
    *(
        "step",
        "reward",
        "reward_std",
        "loss",
        "grad_norm",
        "lr",
        "kl",
        "entropy",
        "completion_tokens",
        "truncated",
        "unreadable",
        "timeout",
    ),
    *("outcome_bits", "bits_offered", "capacity_used", "update_norm", "stable_rank", "evenly_filled"),
    *("zero_variance_groups", "rollout_mismatch_kl", "rollout_seconds", "train_seconds", "sampled_tokens_per_second"),
}
"""The keys that docs and report rely on."""


class Finished(NamedTuple):
    """A run that ended well, and what it said."""

    recipe: Path
    path: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def finished(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """`python -m rltk train`, as a user runs it, piped into a file on a machine that forces colours."""
    recipe = runs.write_recipe(tmp_path_factory.mktemp("finished"), guesser)
    environment = {**os.environ, "PYTHONPATH": SOURCES, "CUDA_VISIBLE_DEVICES": "", "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "rltk", "train", str(recipe)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (path,) = (recipe.parent / "runs" / "t").iterdir()
    return Finished(recipe, path, done.stdout, done.stderr)


def test_the_manifest_says_what_was_run(finished: Finished) -> None:
    manifest, recipe = runs.read(finished.path / "manifest.json"), load_recipe(str(finished.recipe)).recipe
    assert (manifest["recipe"], manifest["recipe_hash"]) == (resolved(recipe), recipe_hash(recipe))
    assert (manifest["name"], manifest["id"], manifest["status"]) == ("t", finished.path.name, "finished")
    assert manifest["id"] == manifest["recipe_hash"]
    assert manifest["seed"] == 0 and manifest["lr"] == 0.01
    assert {"rltk", "python", "torch", "transformers", "peft"} <= manifest["versions"].keys()
    hashes = [manifest["data_hash"], *manifest["task_hashes"].values()]
    assert all(re.fullmatch("[0-9a-f]{16}", value) for value in hashes)
    assert list(manifest["task_hashes"]) == ["test"]
    assert manifest["started"] <= manifest["finished"]
    assert manifest["hardware"]["device"] == "cpu" and manifest["hardware"]["threads"] >= 1
    assert manifest["commit"] is None or re.fullmatch(r"[0-9a-f]{12}\+?", manifest["commit"])


def test_every_step_has_its_metrics(finished: Finished) -> None:
    rows = runs.rows(finished.path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(row.keys() >= METRICS for row in rows)
    assert all(row["sampled_tokens"] == 16 * row["completion_tokens"] for row in rows)
    assert 0 < sum(row["reward"] for row in rows) < 4
    assert [row["kl"] for row in rows] == [None] * 4, "without a reference there is no KL: null, not 0"
    assert all(abs(row["rollout_mismatch_kl"] or 0) < 1e-6 for row in rows)
    peaks = [row["peak_memory_bytes"] for row in rows]
    assert peaks[0] > 0 and peaks == sorted(peaks)
    assert peaks[-1] <= runs.read(finished.path / "manifest.json")["peak_memory_bytes"]


def test_the_newest_step_can_be_looked_at(finished: Finished) -> None:
    rows = runs.rows(finished.path / "latest.jsonl")
    assert {row["step"] for row in rows} == {4}
    assert len({row["id"] for row in rows}) == len(rows) == 4
    assert all(row["prompt"].startswith("What is") and row["reward"] in (0.0, 1.0) for row in rows)
    assert any(row["completion"] for row in rows)


def test_scores_and_items_agree(finished: Finished) -> None:
    scores = runs.read(finished.path / "scores.json")
    assert list(scores) == ["before", "after"]
    for when in scores:
        score, items = scores[when]["test"], runs.rows(finished.path / "items" / f"{when}-test.jsonl")
        greedy, sampled = ([item for item in items if item["decoding"] == kind] for kind in ("greedy", "sampled"))
        assert score["n"] == len(greedy) == len(sampled) == 12
        assert score["accuracy"] == sum(item["correct"] for item in greedy) / 12
        assert score["sampled"]["accuracy"] == sum(item["correct"] for item in sampled) / 12
        low, high = score["ci95"]
        assert 0 <= low <= score["accuracy"] <= high <= 1
        assert {"id", "prompt", "completion", "answer", "gold", "correct"} <= items[0].keys()
        assert greedy[1]["prompt"] == "<|user|>What is 1001 times nothing, plus 9?<|assistant|>"
        assert (greedy[1]["id"], greedy[1]["gold"]) == ("test/1", "9")
        assert all(item["correct"] == (item["answer"] == item["gold"]) for item in items)


def test_nothing_is_pickled(finished: Finished) -> None:
    endings = {path.suffix for path in finished.path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert endings == {".json", ".jsonl", ".safetensors", ".jinja", ".md", ".html"}
    assert runs.names(finished.path) == [
        ".lock", "adapter.json", "checkpoints", "items", "latest.jsonl", "manifest.json", "metrics.jsonl", "model",
        "report.html", "scores.json",
    ]  # fmt: skip
    assert runs.names(finished.path / "checkpoints") == ["step-000002", "step-000004"]
    adapter = load_file(finished.path / "model" / "adapter_model.safetensors")
    assert adapter and all(any(weight.flatten().tolist()) for weight in adapter.values()), "an adapter that learned"


def test_what_the_adapter_became_is_described(finished: Finished) -> None:
    rows, described = runs.rows(finished.path / "metrics.jsonl"), runs.read(finished.path / "adapter.json")
    assert rows[-1]["bits_offered"] == pytest.approx(sum(row["outcome_bits"] for row in rows)) and rows[-1]["reward"]
    assert described["bits_offered"] == rows[-1]["bits_offered"] > 0
    assert described["parameters"] == 3712
    assert described["update_norm"] == pytest.approx(rows[-1]["update_norm"])
    assert len(described["matrices"]) == 14
    assert all(len(matrix["singular_values"]) == 4 for matrix in described["matrices"].values())


def test_others_may_read_the_weights_as_the_umask_says(finished: Finished) -> None:
    files = [path for path in finished.path.rglob("*") if path.is_file()]
    assert len({path.stat().st_mode for path in files}) == 1


def test_a_piped_log_has_plain_lines_and_nothing_of_other_libraries(finished: Finished) -> None:
    assert re.fullmatch(r"test: greedy [^\n]*\(n = 12\), [+-]\d+\.\d points\n", finished.out)
    assert not set("\x1b\r\t") & set(finished.err)
    line = r"step {}/4 reward \d\.\d{{3}}, [\d,]+ tokens/s, \d+s left"
    expected = [
        f"run {re.escape(str(finished.path))}",
        r"LoRA trains 3,712 parameters \(.*; lr 0.01, as the recipe says",
        "test before 24/24",
        r"test before: greedy .* \(n = 12\)",
        *(line.format(step) for step in range(1, 5)),
        "test after 24/24",
        r"test after: greedy .* \(n = 12\)",
        f"look at it: {re.escape(str(finished.path))}/report.html",
        f"done in [0-9]+s; evaluate it again with: rltk eval {re.escape(str(finished.path))}",
    ]
    for pattern, written in zip(expected, finished.err.splitlines(), strict=True):
        assert re.fullmatch(pattern, written)


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_json_is_all_there_is_on_stdout(
    tune: str, guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1}, profiles={"laptop": {"seed": 7}})
    assert main(["train", str(recipe), "--json", f"tune={{type: {tune}}}"]) == 0
    printed = capfd.readouterr()
    answer = json.loads(printed.out)
    run = Path(answer["run"])
    assert (answer["status"], answer["scores"]) == ("finished", runs.read(run / "scores.json"))
    assert printed.err.startswith("no accelerator is visible: profile `laptop`")
    assert (runs.read(run / "manifest.json")["profile"], runs.read(run / "manifest.json")["seed"]) == ("laptop", 7)
    assert "Loading weights" not in printed.err and "Writing model shards" not in printed.err
    weights = "adapter_model.safetensors" if tune == "lora" else "model.safetensors"
    assert (run / "model" / weights).exists()
    described = runs.read(run / "adapter.json")
    assert (described["tune"], len(described["matrices"])) == (tune, 14)


def test_quiet_says_the_result_only(guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1}, eval={"samples": 0, "before": False})
    assert main(["train", str(recipe), "--quiet"]) == 0
    printed = capfd.readouterr()
    assert re.fullmatch(r"test: greedy \S+ \[\S+, \S+\] \(n = 12\)\n", printed.out)
    assert printed.err == ""
    scores = runs.read(next((tmp_path / "runs/t").iterdir()) / "scores.json")
    assert list(scores) == ["after"]


def test_the_same_recipe_again_has_a_folder_of_its_own(finished: Finished, capfd: pytest.CaptureFixture[str]) -> None:
    before = runs.read(finished.path / "manifest.json")
    assert main(["train", str(finished.recipe), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["run"] == f"{finished.path}-2"
    assert runs.untimed(Path(f"{finished.path}-2")) == runs.untimed(finished.path), "the same seed, the same numbers"
    assert runs.read(finished.path / "manifest.json") == before


@pytest.mark.slow
def test_tensorboard_has_the_reward(guesser: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = runs.write_recipe(tmp_path, guesser, run={"trackers": ["tensorboard"]})
    run = tmp_path / "run"
    assert main(["train", str(recipe), "--quiet", "--run", str(run)]) == 0
    files = [EventAccumulator(str(file)).Reload() for file in run.rglob("events.out.tfevents.*")]
    (written,) = [file for file in files if "reward" in file.Tags()["scalars"]]  # another has the hyperparameters
    rewards = [row["reward"] for row in runs.rows(run / "metrics.jsonl")]
    assert [event.value for event in written.Scalars("reward")] == pytest.approx(rewards)
    assert [event.step for event in written.Scalars("reward")] == [1, 2, 3, 4]


def test_a_page_that_cannot_be_written_is_said_and_fails_no_run(
    guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rltk.report.page.REPORT", "model")  # a folder is there, which no file replaces
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1}, eval={"samples": 0, "before": False})
    assert main(["train", str(recipe), "--quiet"]) == 0
    said, run = capfd.readouterr().err, next((tmp_path / "runs/t").iterdir())
    assert said.startswith(f"rltk: no report was written ({run}/model cannot be written: ")
    assert said.endswith(f"; try again with: rltk report {run}\n")
    assert runs.read(run / "manifest.json")["status"] == "finished"
    assert ".report.html.writing" not in runs.names(run) and ".model.writing" not in runs.names(run)
