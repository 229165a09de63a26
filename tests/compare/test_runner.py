"""Real comparisons of a tiny policy: runs are paired, killed ones go on, and Ctrl-C leaves what can be gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rltk.compare.conclusion import COMPARISON, conclude
from rltk.compare.plan import Comparison, begin, read_plan
from rltk.compare.runner import train_command
from rltk.compare.survey import survey
from rltk.recipe.load import load_recipe
from tests import runs
from tests.compare import made
from tests.forks import ROOT, SOURCES, Forks

pytestmark = pytest.mark.slow
PATIENCE = 600
"""Seconds after which a test gives up; nothing is said about how fast a machine is."""
MOMENTS = ("torch.optim.AdamW.step", "rltk.rollout.evaluate.grade_items", "rltk.run.checkpoint.optimizer_tensors")


@pytest.fixture(scope="module")
def recipe(guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    data = folder / "data"
    data.mkdir()
    runs.problems(data / "train.jsonl", 40)
    runs.problems(data / "test.jsonl", 16, first=1000)
    compare: dict[str, Any] = {
        "arms": ["lora-2", "full"],
        "rates": {"centre": 0.003, "points": 2, "most": 2},
        "confirmation_seeds": 2,
        "margin": {"value": 0.05},
    }
    sections = {
        "data": {"path": str(data), "validation": 8},
        "eval": {"tasks": ["heldout"], "batch": 16},
        "optim": {"steps": 2, "lr": "auto"},
        "run": {"checkpoint_every": 1},
    }
    return runs.write_recipe(folder, guesser, **sections, compare=compare)


def start(*argv: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": SOURCES, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "rltk", "compare", *argv]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=-1, stderr=-1, text=True)


@pytest.fixture(scope="module")
def whole(recipe: Path) -> Path:
    """A comparison that nothing interrupts."""
    path = recipe.parent / "whole"
    process = start(str(recipe), "--out", str(path), "--json")
    out, err = process.communicate()
    assert process.returncode == 0, err
    answer = json.loads(out)
    assert answer["status"] == "finished" and set(answer["verdicts"]) == {"lora-2"}
    assert err.count(" is there, ") == 14
    return path


def by_seed(path: Path, phase: str) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for folder in sorted((path / phase).iterdir()):
        found.setdefault(runs.read(folder / "manifest.json")["seed"], []).append(folder)
    return found


@pytest.mark.parametrize(("phase", "seeds"), [("tuning", [0, 1]), ("confirmation", [100, 101])])
def test_runs_of_a_seed_share_problems_prompts_and_sampling_streams(whole: Path, phase: str, seeds: list[int]) -> None:
    """Both arms begin as one model, so the first step of a seed is the same in all runs only if all of these are."""
    found = by_seed(whole, phase)
    assert sorted(found) == seeds
    firsts = []
    for folders in found.values():
        assert len(folders) == {"tuning": 4, "confirmation": 3}[phase]
        manifests = [runs.read(folder / "manifest.json") for folder in folders]
        assert len({(m["data_hash"], json.dumps(m["task_hashes"])) for m in manifests}) == 1
        steps = [runs.rows(folder / "metrics.jsonl")[0] for folder in folders]
        # Entropy is that of what was learned from, and null where a step's groups taught nothing.
        entropies = [None if row["entropy"] is None else round(row["entropy"], 4) for row in steps]
        same = {
            (row["reward"], row["sampled_tokens"], row["truncated"], entropy)
            for row, entropy in zip(steps, entropies, strict=True)
        }
        assert len(same) == 1
        firsts += same
        items = [[row["id"] for row in runs.rows(next((f / "items").glob("after-*")))] for f in folders]
        assert all(ids == items[0] for ids in items)
    assert len(set(firsts)) == 2, "two seeds that begin alike would show nothing"


def test_finished_runs_keep_no_checkpoints_and_are_not_made_again(whole: Path) -> None:
    manifests = sorted(whole.glob("*/*/manifest.json"))
    before = {path: path.read_bytes() for path in manifests}
    assert len(manifests) == 14 and not list(whole.glob("*/*/checkpoints"))
    process = start(str(whole))
    out, err = process.communicate()
    assert process.returncode == 0 and "lora-2" in out and "is there" not in err
    assert {path: path.read_bytes() for path in manifests} == before


def test_half_of_the_runs_killed_and_gone_on_with_give_the_same_comparison(
    recipe: Path, whole: Path, forks: Forks, tmp_path: Path
) -> None:
    comparison = Comparison(tmp_path / "killed", load_recipe(str(recipe)).recipe)
    begin(comparison)
    killed = 0
    while pending := made.settle(comparison).pending:
        for index, run in enumerate(pending):
            if index % 2:
                moment = MOMENTS[killed % len(MOMENTS)]
                assert forks.run(*train_command(comparison, run), at=moment).code == -signal.SIGKILL
                killed += 1
                assert run.id in {left.id for left in survey(comparison).pending}
            done = forks.run(*train_command(comparison, run))
            assert done.code == 0, done.err
    assert killed == 7
    conclude(comparison)
    assert (comparison.path / COMPARISON).read_bytes() == (whole / COMPARISON).read_bytes()


def test_a_killed_run_is_named_and_ctrl_c_says_how_to_go_on(recipe: Path, tmp_path: Path) -> None:
    path = tmp_path / "stopped"
    process = start(str(recipe), "--out", str(path))
    os.kill(running(path, "*-seed0-*"), signal.SIGKILL)
    err = process.communicate()[1]
    assert process.returncode == 2
    assert "rltk: the tuning run of arm lora-2, learning rate 0.00949, seed 0 was ended by signal 9;" in err

    process = start(str(path))
    running(path, "*-seed1-*")
    process.send_signal(signal.SIGINT)
    err = process.communicate()[1]
    assert process.returncode == 130
    assert f"go on with: rltk compare {path}" in err
    assert not [file for file in path.rglob(".lock") if is_alive(file)]

    process = start(str(path), "--budget", "0s", "--json")
    answer = json.loads(process.communicate()[0])
    assert (process.returncode, answer["status"]) == (0, "unfinished")
    assert len(answer["missing"]) == len(survey(read_plan(path)).pending) >= 6


def test_a_killed_comparison_is_gone_on_with_while_its_last_run_is_still_being_made(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    """A worker ends the run that it is at, also when nobody is left to tell; the next process waits for it."""
    path = tmp_path / "orphaned"
    killed = start(str(recipe), "--out", str(path))
    running(path, "full-lr0.003-seed1-*")
    killed.kill()
    process = start(str(path))
    out, err = process.communicate()
    assert process.returncode == 0 and "lora-2" in out, err
    assert "Traceback" not in killed.communicate()[1]
    assert (path / COMPARISON).read_bytes() == (whole / COMPARISON).read_bytes()


def running(path: Path, pattern: str) -> int:
    """The process of a run that matches, once it has written a manifest."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for manifest in path.glob(f"tuning/{pattern}/manifest.json"):
            if is_alive(lock := manifest.parent / ".lock"):
                return int(lock.read_text())
        time.sleep(0.02)
    raise AssertionError(f"no run {pattern} began")


def is_alive(lock: Path) -> bool:
    text = lock.read_text() if lock.exists() else ""
    return text.isdecimal() and Path(f"/proc/{text}").exists()


def test_an_arm_that_cannot_be_made_is_named_with_its_own_sentence(recipe: Path, tmp_path: Path) -> None:
    arms = "compare.arms={odd: {tune: {type: lora, targets: [nowhere]}}, full: full}"
    process = start(str(recipe), arms, "--out", str(tmp_path / "odd"))
    err = process.communicate()[1]
    assert process.returncode == 2
    assert "rltk: the tuning run of arm odd, learning rate 0.00949, seed 0 failed: tune.targets names 'nowhere'" in err
    assert not list((tmp_path / "odd" / "tuning").glob("*"))


def test_policies_that_are_judged_by_a_reward_are_compared_by_it(guesser: Path, tmp_path: Path) -> None:
    sections = {
        "data": {"path": "embedded/dialogues", "size": 16},
        "rewards": {"quality": {"type": "gold"}},
        "eval": {"tasks": ["heldout"], "limit": 6, "batch": 16},
        "optim": {"steps": 1, "lr": "auto"},
    }
    compare = {
        "arms": ["lora-2", "full"],
        "metric": "reward",
        "rates": {"centre": 0.003, "points": 1, "most": 1},
        "tuning_seeds": 1,
        "confirmation_seeds": 2,
        "margin": {"value": 0.2},
        "minimum_gain": 0.5,
    }
    recipe = runs.write_recipe(tmp_path, guesser, **sections, compare=compare)
    path = tmp_path / "compared"
    process = start(str(recipe), "--out", str(path))
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "(mean reward of samples on the test split)" in out and "%" not in out.partition("note:")[0].split("note")[0]
    found = runs.read(path / COMPARISON)
    for folder in (path / "confirmation").iterdir():
        manifest, after = runs.read(folder / "manifest.json"), runs.read(folder / "scores.json")["after"]["dialogues"]
        arm = folder.name.partition("-lr")[0]
        assert found["arms"][arm]["seeds"][str(manifest["seed"])] == pytest.approx(after["sampled"]["reward"])
    page = (path / "report.html").read_text()
    assert "in units of reward" in page and ">Reward<" in page
