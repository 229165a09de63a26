"""`rltk eval`: of a run, an adapter, a model; what it prints, writes and refuses."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from tests import runs


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, of either arm."""
    folder = tmp_path_factory.mktemp(request.param)
    optim = {"steps": 3, "lr": 0.01 if request.param == "lora" else 0.003}
    recipe = runs.write_recipe(folder, guesser, tune={"type": request.param}, optim=optim)
    assert main(["train", str(recipe), "--run", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def test_a_run_has_the_scores_that_it_ended_with(run: Path, answer: Callable[..., Any], tmp_path: Path) -> None:
    given = answer(run, "--out", tmp_path / "out")
    assert given == {"target": str(run), "scores": runs.read(run / "scores.json")["after"]}
    assert runs.read(tmp_path / "out" / "scores.json") == given["scores"]
    items = (tmp_path / "out" / "items" / "test.jsonl").read_bytes()
    assert items == (run / "items" / "after-test.jsonl").read_bytes()
    assert runs.names(tmp_path / "out") == [".lock", "items", "scores.json", "settings.json"]


def test_quiet_leaves_the_result_alone(guesser: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    task = runs.problems(tmp_path / "test.jsonl", 4)
    for quiet, said in (["--quiet"], ""), ([], "test 4/4\n"):
        assert main(["eval", str(guesser), "--task", str(task), "--samples", "0", "--max-new-tokens", "6", *quiet]) == 0
        printed = capfd.readouterr()
        assert "accuracy" in printed.out and printed.err == said


def test_a_saved_model_has_the_scores_of_its_run_wherever_it_lies(
    run: Path, answer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder alone has no recipe: it is asked in bfloat16, so log-probabilities differ, but not by an argmax."""
    shutil.copytree(run / "model", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    task = run.parent / "test.jsonl"
    given = answer("elsewhere", "--task", task, "--max-new-tokens", 6, "--samples", 0)["scores"]
    after = runs.read(run / "scores.json")["after"]["test"]
    assert given["test"]["n"] == after["n"] == 12
    assert abs(given["test"]["accuracy"] - after["accuracy"]) <= 2 / 12
    assert "sampled" not in given["test"]


def test_a_model_folder_gives_what_its_run_began_with(
    run: Path, guesser: Path, answer: Callable[..., Any], tmp_path: Path
) -> None:
    manifest = runs.read(run / "manifest.json")
    given = answer(guesser, "--task", run.parent / "test.jsonl", "--max-new-tokens", 6, "--seed", manifest["seed"])
    before = runs.read(run / "scores.json")["before"]["test"]
    assert abs(given["scores"]["test"]["accuracy"] - before["accuracy"]) <= 2 / 12


def test_the_command_line_goes_before_the_recipe(run: Path, answer: Callable[..., Any]) -> None:
    score = answer(run, "--limit", 5, "--samples", 3, "--temperature", 0.5, "--max-new-tokens", 1)["scores"]["test"]
    assert (score["n"], score["samples"], score["mean_tokens"]) == (5, 5, 1.0)
    assert (score["sampled"]["n"], score["sampled"]["samples"], score["sampled"]["temperature"]) == (5, 15, 0.5)
    assert answer(run, "--limit", "all")["scores"]["test"]["n"] == 12


def test_other_samples_come_from_another_seed_and_no_other_greedy_answers(
    run: Path, answer: Callable[..., Any]
) -> None:
    first, again, other = (answer(run, "--samples", 4, "--seed", seed)["scores"]["test"] for seed in (1, 1, 2))
    assert first == again
    assert first["accuracy"] == other["accuracy"]
    assert first["sampled"] != other["sampled"]


def test_the_embedded_policy_is_asked_the_embedded_problems(answer: Callable[..., Any]) -> None:
    given = answer("embedded/policy", "--task", "word-problems", "--limit", 3, "--samples", 0, "--max-new-tokens", 2)
    assert given["scores"]["word-problems"]["n"] == 3


def test_several_tasks_are_each_scored(run: Path, answer: Callable[..., Any], tmp_path: Path) -> None:
    more = runs.problems(tmp_path / "more.jsonl", 4, first=2000)
    tasks = ("--task", run.parent / "test.jsonl", "--task", more, "--task", "word-problems")
    scores = answer(run, *tasks, "--limit", 7, "--samples", 0, "--out", tmp_path / "out")["scores"]
    assert {name: score["n"] for name, score in scores.items()} == {"test": 7, "more": 4, "word-problems": 7}
    assert runs.names(tmp_path / "out" / "items") == ["more.jsonl", "test.jsonl", "word-problems.jsonl"]


def test_people_read_the_result_on_stdout(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run)]) == 0
    printed = capfd.readouterr()
    title, columns, greedy, sampled = printed.out.splitlines()
    assert re.fullmatch(rf"test: {re.escape(str(run))}, asked plain@1 \([0-9a-f]{{16}}\)", title)
    assert columns.split() == ["accuracy", "95", "%", "interval", "n", "tokens", "truncated", "unreadable", "timeout"]
    score = runs.read(run / "scores.json")["after"]["test"]
    for line, label, shown in ((greedy, "greedy", score), (sampled, "sampled, 1 at temperature 1.0", score["sampled"])):
        low, high = shown["ci95"]
        shares = [f"{shown[key]:.1%}" for key in ("truncated", "unreadable", "timeout")]
        interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
        expected = [label, f"{shown['accuracy']:.1%}", interval, "12", f"{shown['mean_tokens']:.1f}", *shares]
        assert re.split(r"\s{2,}", line.strip()) == expected
    assert printed.err == "test 24/24\n"


def test_what_cannot_be_evaluated_is_refused(
    run: Path, guesser: Path, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nothing").mkdir()
    Path("here").mkdir()
    Path("here/scores.json").write_text("{}")
    Path("file").write_text("")
    Path("empty.jsonl").write_text("")
    runs.problems(Path("test.jsonl"), 3)
    neither = (
        "is neither a run (manifest.json), an adapter (adapter_config.json), a model (config.json) nor an earlier "
        "evaluation (settings.json, or a file of its items)."
    )
    cases = {
        (guesser,): f"{guesser} has no recipe that says what to evaluate on; add --task gsm8k, say.",
        (guesser, "--task", "word-problem"): (
            "task word-problem is neither a folder, a .jsonl file nor a task; did you mean word-problems?"
        ),
        (guesser, "--task", "./tset.jsonl"): "task ./tset.jsonl does not exist; did you mean test.jsonl?",
        (guesser, "--task", "zzz"): (
            "task zzz is neither a folder, a .jsonl file nor a task; choose one of heldout, gsm8k, math, math500, "
            "word-problems, equations."
        ),
        (guesser, "--task", "loss"): (
            "loss is measured while SFT trains, and by no evaluation; name problems with --task."
        ),
        (guesser, "--task", ""): "argument --task: an empty text names nothing; see `rltk eval --help`.",
        ("",): "argument RUN_OR_MODEL: an empty text names nothing; see `rltk eval --help`.",
        ("nothing",): f"nothing {neither}",
        ("file",): f"file {neither}",
        ("./nothin",): "./nothin does not exist; did you mean nothing?",
        ("runs/t/0123",): "runs/t/0123 does not exist: there is no folder runs/t.",
        ("embedded/polisy",): "embedded/polisy does not come with rltk; did you mean embedded/policy?",
        (run, "--out", "here"): (
            "--out here: it holds an evaluation; add --resume to go on with it, or name another folder."
        ),
        (run, "--out", "file"): "--out file: no folder can be made there; name another.",
        (run, "--out", "file/x"): "--out file/x: no folder can be made there; name another.",
        (run, "--task", "test.jsonl", "--task", run.parent / "test.jsonl"): (
            f"test.jsonl and {run.parent / 'test.jsonl'} would both be reported as test; evaluate on one of them."
        ),
        (run, "--prompt", "plain"): "there is no prompt plain; did you mean plain@1?",
        (run, "--k", 1, 4): f"k = 4 needs as many samples a problem, and {run} has 1; see --samples and --k.",
        (run, "--batch", 257): "--batch 257 exceeds 256, the completions that are drawn together.",
        (run, "--task", "gsm8k", "--kind", "math"): "--kind is for a task given by path; gsm8k is not.",
        (run, "--task", "gsm8k", "--data-root", "."): (
            "there is no openai/gsm8k in .; name a folder that holds data sets by their hub ids."
        ),
        (run, "--task", "empty.jsonl"): "empty.jsonl has no rows.",
        (run, "--resume"): "--resume goes on in the folder that --out names; add it.",
        (run, "--resume", "--out", "new"): "--resume: no evaluation has begun in new; leave it out.",
        (run, "--against", "empty.jsonl"): "empty.jsonl holds no items.",
        (run, "--against", "test.jsonl"): "test.jsonl, line 1: not a row of an evaluation (a row without id).",
        (run, "--against", "embedded/polisy"): "embedded/polisy does not come with rltk; did you mean embedded/policy?",
        (run, "--split", "validation"): (
            f"{run.parent / 'test.jsonl'} has no validation problems: evaluate on the test split, or hold some out."
        ),
    }
    for argv, expected in cases.items():
        assert refused(*argv) == expected
    assert re.fullmatch(
        r"problem test/0 has \d\d prompt tokens, and with rollout.max_new_tokens = 500 that exceeds the model's "
        r"context of 512\.",
        refused(run, "--max-new-tokens", 500),
    )
    assert runs.names(tmp_path) == ["empty.jsonl", "file", "here", "nothing", "test.jsonl"]


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(
    run: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "a run", ignore=shutil.ignore_patterns("model"))
    assert refused(tmp_path / "a run") == (
        f"{tmp_path / 'a run'} has no model yet; finish it with: rltk train '{tmp_path / 'a run'}' --resume"
    )


@pytest.mark.parametrize("run", ["lora"], indirect=True)
def test_a_damaged_adapter_is_refused(run: Path, refused: Callable[..., str], tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(run / "model", adapter)
    task = ("--task", "word-problems", "--limit", 1, "--max-new-tokens", 2)
    weights, config = adapter / "adapter_model.safetensors", adapter / "adapter_config.json"
    weights.write_bytes(b"")
    assert refused(adapter, *task).startswith(f"the adapter in {adapter} could not be loaded (")
    values = runs.read(config)
    shutil.copy(run / "model" / weights.name, weights)
    config.write_text(json.dumps(values | {"r": 5}))
    assert refused(adapter, *task).startswith(f"the adapter in {adapter} could not be loaded (")
    config.write_text(json.dumps(values | {"base_model_name_or_path": None}))
    assert refused(adapter, *task) == f"{config} names no base_model_name_or_path."
    config.write_text("{")
    assert refused(adapter, *task).startswith(f"{config} is damaged (")
    config.write_text(json.dumps(values))
    weights.rename(adapter / "adapter_model.bin")
    assert refused(adapter, *task) == f"{adapter} holds no adapter_model.safetensors."
