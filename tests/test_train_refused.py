"""What `rltk train` refuses: with one sentence, status 2, and nothing written; and runs that others left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
from safetensors import SafetensorError

from rltk.cli import main
from rltk.recipe.load import load_recipe
from rltk.recipe.resolved import recipe_hash
from rltk.run.lock import locked
from tests import asked, runs
from tests.forks import ROOT, SOURCES


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    return asked.refusals("train", capfd)


def jsonl(path: Path, *values: object) -> Path:
    path.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values), encoding="utf-8")
    return path


GOOD = {"question": "What is 2 and 5?", "answer": "2 + 5 = 7\n#### 7"}
BAD_DATA: dict[str, tuple[list[object], str]] = {
    "no rows": ([], " has no rows."),
    "blank lines": (["", "  "], " has no rows."),
    "no column": (
        [{"q": "?", "answer": "1"}],
        " has no column 'question', which data.question names; it has answer, q.",
    ),
    "not JSON": (
        [GOOD, "{no"],
        ", line 2: not JSON (Expecting property name enclosed in double quotes at column 2); "
        "one object a line was expected.",
    ),
    "not an object": ([GOOD, [1]], ", line 2: [1] is not an object."),
    "no gold": ([GOOD, "", {"question": "?"}], ", line 3: answer is missing."),
    "null gold": ([GOOD, {"question": "?", "answer": None}], ", line 2: answer is missing."),
    "unreadable gold": (
        [GOOD, GOOD | {"answer": "many"}],
        ", line 2: answer has no gold answer in 'many': give one number, or a solution that ends in '#### 72'.",
    ),
    "empty question": (
        [GOOD, GOOD | {"question": " "}],
        ", line 2: question is ' '; a question in words was expected.",
    ),
    "number for a question": (
        [GOOD | {"question": 5}],
        ", line 1: question is 5; a question in words was expected.",
    ),
}


@pytest.mark.parametrize("fault", BAD_DATA)
def test_bad_data_is_refused_by_its_row(fault: str, guesser: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    rows, expected = BAD_DATA[fault]
    file = jsonl(tmp_path / "bad.jsonl", *rows)
    recipe = runs.write_recipe(tmp_path, guesser, data={"path": str(file)})
    assert refused(recipe) == f"{file}{expected}"
    assert not (tmp_path / "runs").exists()


def test_a_bad_run_is_refused_with_nothing_written(
    guesser: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = runs.write_recipe(tmp_path, guesser)
    before = runs.names(tmp_path)
    train = str(tmp_path / "train.jsonl")
    monkeypatch.chdir(tmp_path)
    cases = {
        ("data.path=./tran.jsonl",): "command line: data.path = ./tran.jsonl does not exist; did you mean train.jsonl?",
        ("eval.tasks=[heldout]",): (
            f"{train} is one file, so nothing in it is held out: set data.validation to how many problems to hold out "
            "and eval.split to validation, or name other problems in eval.tasks."
        ),
        (f"eval.tasks=[{train}, heldout]", "data.validation=5", "eval.split=validation"): (
            f"{train} has no validation problems: evaluate on the test split, or hold some out."
        ),
        ("data.validation=40",): "data.validation = 40 would hold out all of the 40 training problems.",
        ("rollout.max_new_tokens=500",): re.compile(
            r"no training problem can be asked: problem train/\d+ has \d\d prompt tokens, and with "
            r"rollout.max_new_tokens = 500 that exceeds the model's context of 512\."
        ),
        ("run.trackers=[wandb]",): (
            "run.trackers names wandb, which is not installed; pip install 'rltk[wandb]'."
        ),
        ("--resume",): f"there is no unfinished run of this recipe under {tmp_path / 'runs' / 't'}.",
        ("--resume", "--run", "other"): "other is not a run folder: it has no manifest.json.",
        ("--run", train): f"--run {train}: it exists and is not empty; name a new folder.",
        ("--run", f"{train}/run"): f"the folder {train}/run cannot be made: Not a directory.",
        ("run.dir=train.jsonl",): re.compile(r"the folder train.jsonl/t/\w+ cannot be made: Not a directory\."),
        ("--run", "."): "--run .: it exists and is not empty; name a new folder.",
    }  # fmt: skip
    Path("wandb").mkdir()  # what wandb leaves behind is no installed package
    for argv, expected in cases.items():
        said = refused(recipe, *argv)
        is_as_expected = re.fullmatch(expected, said) if isinstance(expected, re.Pattern) else said == expected
        assert is_as_expected, said
        assert runs.names(tmp_path) == sorted([*before, "wandb"])


def test_a_model_that_cannot_be_loaded_leaves_no_run(
    guesser: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for file in guesser.iterdir():
        if file.suffix != ".safetensors":
            (model / file.name).write_bytes(file.read_bytes())
    recipe = runs.write_recipe(tmp_path, model)
    assert refused(recipe).startswith(f"model.path = '{model}': its safetensors weights could not be loaded (")
    (model / "model.safetensors").write_bytes(b"not weights")
    assert refused(recipe).startswith(f"model.path = '{model}': its safetensors weights could not be loaded (")
    assert not (tmp_path / "runs").exists()
    assert refused(recipe, "--run", tmp_path / "run") and not (tmp_path / "run").exists()


def test_a_bad_recipe_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    recipe = runs.write_recipe(tmp_path, tmp_path, algo={"grup": 4})
    code = "import sys; from rltk.cli import main; code = main(sys.argv[1:]); print(code, 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, "train", str(recipe)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": SOURCES}, capture_output=True, text=True)
    assert done.stdout == "2 False\n"
    assert re.fullmatch(
        r"rltk: .*recipe\.yaml:\d+: algo.grup = 4 is not a key of algo; did you mean group\?\n", done.stderr
    )


# Runs that are there already


class Run(NamedTuple):
    recipe: Path
    path: Path


@pytest.fixture
def ended(guesser: Path, tmp_path: Path) -> Run:
    """A run of one step that ended well."""
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1})
    assert main(["train", str(recipe), "--quiet"]) == 0
    return Run(recipe, tmp_path / "runs" / "t" / recipe_hash(load_recipe(str(recipe)).recipe))


@pytest.fixture
def begun(ended: Run) -> Run:
    """One whose process was killed before it could say that it ended."""
    change(ended.path, status="running")
    return ended


def change(run: Path, **values: Any) -> None:
    (run / "manifest.json").write_text(json.dumps(runs.read(run / "manifest.json") | values))


def test_a_run_goes_on_as_it_was_started(begun: Run, refused: Callable[..., str]) -> None:
    old = runs.read(begun.path / "manifest.json")["recipe_hash"]
    new = recipe_hash(load_recipe(str(begun.recipe), ["seed=1"]).recipe)
    cases = {
        (
            begun.path,
            "--resume",
            "seed=1",
        ): "seed=1: a resumed run keeps its recipe, but for hardware; start a new run to change it.",
        (begun.path, "--resume", "--run", "x"): (
            f"--run goes with a recipe; the run in {begun.path} goes on as it was started."
        ),
        (begun.path, "--resume", "--profile", "none"): (
            f"--profile goes with a recipe; the run in {begun.path} goes on as it was started."
        ),
        (begun.recipe, "--resume", "--run", begun.path, "seed=1"): (
            f"--run {begun.path} was started from another recipe (hash {old}, this one is {new}); "
            f"resume it as it was with: rltk train {begun.path} --resume"
        ),
        (begun.recipe, "--resume", "seed=1"): (
            f"there is no unfinished run of this recipe under {begun.path.parent}; "
            f"one of another recipe of that name goes on with: rltk train {begun.path} --resume"
        ),
    }
    for argv, expected in cases.items():
        assert refused(*argv) == expected


def test_data_that_changed_meanwhile_is_refused(begun: Run, refused: Callable[..., str]) -> None:
    runs.problems(begun.recipe.parent / "test.jsonl", 11, first=1000)
    train = begun.recipe.parent / "train.jsonl"
    said = f"{{}} has changed since {begun.path} began; start a new run."
    assert refused(begun.path, "--resume") == said.format(begun.recipe.parent / "test.jsonl")
    runs.problems(begun.recipe.parent / "test.jsonl", 12, first=1000)
    runs.problems(train, 40, first=1)
    assert refused(begun.path, "--resume") == said.format(train)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "it holds no recipe"),
        ('{"recipe": 5, "recipe_hash": "0"}', "it holds no recipe"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(
    text: str, said: str, begun: Run, refused: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    (begun.path / "manifest.json").write_text(text)
    expected = f"{begun.path / 'manifest.json'} is damaged ({said}); start the run anew."
    assert refused(begun.path, "--resume") == expected
    assert refused(begun.recipe, "--run", begun.path, "--resume") == expected
    assert main(["eval", str(begun.path)]) == 2
    assert capfd.readouterr().err == f"rltk: {expected}\n"


def test_a_damaged_run_does_not_stand_in_the_way_of_a_new_one(begun: Run, capfd: pytest.CaptureFixture[str]) -> None:
    (begun.path / "manifest.json").write_text("{")
    assert main(["train", str(begun.recipe), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["run"] == f"{begun.path}-2"


def test_a_damaged_checkpoint_that_is_the_only_one_is_refused(begun: Run, refused: Callable[..., str]) -> None:
    (checkpoint,) = (begun.path / "checkpoints").iterdir()
    (checkpoint / "weights.safetensors").write_bytes(b"")
    assert re.fullmatch(
        f"no checkpoint of {re.escape(str(begun.path))} is whole: of {checkpoint.name}, weights.safetensors has 0 "
        f"bytes instead of [\\d,]+; delete {re.escape(str(checkpoint.parent))} to begin again from the start\\.",
        refused(begun.path, "--resume"),
    )
    assert runs.read(begun.path / "manifest.json")["status"] == "running", "nothing was written"


def test_damaged_metrics_are_refused(begun: Run, refused: Callable[..., str]) -> None:
    (begun.path / "metrics.jsonl").write_text('{"step": 1\n')
    assert refused(begun.path, "--resume").startswith(f"{begun.path / 'metrics.jsonl'} is damaged (")


def test_two_processes_cannot_work_on_one_run(begun: Run, refused: Callable[..., str]) -> None:
    with locked(begun.path, is_new=False):
        assert refused(begun.path, "--resume") == (
            f"another process is working in {begun.path}; wait for it, or stop it first."
        )
    assert main(["train", str(begun.path), "--resume", "--quiet"]) == 0


def test_a_finished_run_is_not_run_again(ended: Run, refused: Callable[..., str]) -> None:
    again = f"{ended.path} is finished; evaluate it with: rltk eval {ended.path}"
    assert refused(ended.path, "--resume") == again
    assert refused(ended.recipe, "--run", ended.path, "--resume") == again
    assert refused(ended.path) == (
        f"{ended.path} is a folder; add --resume to go on with the run in it, or name a recipe."
    )
    assert refused(ended.recipe, "--run", ended.path) == (
        f"--run {ended.path}: there is a run in it; add --resume to go on with it, or name another."
    )


def test_what_a_killed_start_leaves_is_no_run(tmp_path: Path, guesser: Path) -> None:
    """Only the lock: the folder is still free."""
    recipe = runs.write_recipe(tmp_path, guesser, optim={"steps": 1})
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("123")
    assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 0


def no_space(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_space_in_rust(*_: object, **__: object) -> NoReturn:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("function", "full"),
    [("rltk.run.folder.write_jsonl", no_space), ("rltk.run.checkpoint.save_file", no_space_in_rust)],
)
def test_a_full_disk_is_no_traceback_and_the_run_goes_on_when_there_is_room(
    function: str,
    full: Callable[..., NoReturn],
    guesser: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    recipe, run = runs.write_recipe(tmp_path, guesser, optim={"steps": 2}), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(function, full)
        assert main(["train", str(recipe), "--run", str(run), "--quiet"]) == 2
    command = f"rltk train {run} --resume"
    assert capfd.readouterr() == ("", f"rltk: the disk of {run} is full; make room, then go on with: {command}\n")
    assert runs.read(run / "manifest.json")["status"] == "failed"
    assert main(command.split()[1:]) == 0


def test_an_unfinished_run_of_the_recipe_is_pointed_out(begun: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(begun.recipe), "--json"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["run"] == f"{begun.path}-2"
    assert printed.err.startswith(
        f"an unfinished run of this recipe stays as it is; go on with it by: rltk train {begun.path} --resume\n"
    )


def test_resuming_a_recipe_goes_on_with_its_newest_unfinished_run(
    begun: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["train", str(begun.recipe), "--quiet"]) == 0
    second = Path(f"{begun.path}-2")
    change(second, status="interrupted", commit="0123456789ab")
    capfd.readouterr()
    assert main(["train", str(begun.recipe), "--resume", "--json"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["run"] == str(second)
    assert printed.err.startswith("not the commit that the run began with: its numbers may differ\n")
    manifest = runs.read(second / "manifest.json")
    assert manifest["commit"] == "0123456789ab"
    assert [entry["commit"] for entry in manifest["resumed"]] != ["0123456789ab"]
