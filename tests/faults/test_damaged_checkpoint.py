"""Checkpoints that are not what was written: found whatever was done to them, and the one before is gone on from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rltk.run.whole import LIST, damage, seal
from tests import runs
from tests.forks import Forks
from tests.offline import made
from tests.test_resume import assert_same


def flip(file: Path, place: int = -1) -> None:
    """One bit of one byte."""
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def truncate(file: Path, count: int = 1) -> None:
    file.write_bytes(file.read_bytes()[:-count])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped byte in the weights": (
        lambda folder: flip(folder / "weights.safetensors"),
        "weights.safetensors is not what was written",
    ),
    "flipped byte in the optimizer": (
        lambda folder: flip(folder / "optimizer.safetensors"),
        "optimizer.safetensors is not what was written",
    ),
    "another step": (
        lambda folder: (folder / "progress.json").write_text((folder / "progress.json").read_text().replace("4", "3")),
        "progress.json is not what was written",
    ),
    "truncated": (lambda folder: truncate(folder / "weights.safetensors"), "weights.safetensors has "),
    "empty": (lambda folder: (folder / "weights.safetensors").write_bytes(b""), "weights.safetensors has 0 bytes "),
    "missing file": (lambda folder: (folder / "progress.json").unlink(), "progress.json is missing"),
    "missing list": (lambda folder: (folder / LIST).unlink(), f"{LIST} is missing"),
    "empty list": (lambda folder: (folder / LIST).write_text("{}"), "optimizer.safetensors is not in files.json"),
    "half a list": (lambda folder: truncate(folder / LIST, 9), f"{LIST} or what it names cannot be read"),
    "a list of nothing": (lambda folder: (folder / LIST).write_text("[]"), f"{LIST} or what it names cannot be read"),
    "one more file": (lambda folder: (folder / "more").write_text(""), "more is not in files.json"),
}


@pytest.fixture(scope="module")
def whole(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    recipe = runs.write_recipe(folder, guesser, optim={"steps": 6})
    assert forks.run("train", str(recipe), "--run", str(folder / "run")).code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def killed(forks: Forks, whole: Path) -> Path:
    """A run with checkpoints of steps 2 and 4, killed in step 6."""
    run = whole.parent / "killed"
    recipe = whole.parent / "recipe.yaml"
    assert forks.run("train", str(recipe), "--run", str(run), at="torch.optim.AdamW.step", call=6).code == -9
    assert runs.names(run / "checkpoints") == ["step-000002", "step-000004"]
    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_every_kind_of_damage_is_found(fault: str, killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed / "checkpoints" / "step-000004", tmp_path / "step")
    assert damage(folder) is None
    harm, said = FAULTS[fault]
    harm(folder)
    found = damage(folder)
    assert found is not None and found.startswith(said)


def test_any_flipped_bit_of_any_file_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_bytes(b"12345")
    (folder / "inner" / "b").write_bytes(b"x")
    seal(folder)
    assert damage(folder) is None
    tried = 0
    for file in (folder / "a", folder / "inner" / "b", folder / LIST):
        whole = file.read_bytes()
        for place, byte in enumerate(whole):
            if chr(byte).isspace():
                continue  # between the words of the list: what it says stays the same
            flip(file, place)
            assert damage(folder) is not None, (file, place)
            file.write_bytes(whole)
            tried += 1
    assert tried > 150


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    forks: Forks, killed: Path, whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(killed, tmp_path / "run")
    flip(run / "checkpoints" / "step-000004" / "weights.safetensors")
    done = forks.run("train", str(run), "--resume")
    assert done.code == 0, done.err
    why = "weights.safetensors is not what was written"
    newest = run / "checkpoints" / "step-000004"
    assert f"rltk: {newest} is damaged ({why}) and set aside; going on after step 2" in done.err.splitlines()
    assert runs.names(run / "checkpoints") == ["damaged-step-000004", "step-000004", "step-000006"]
    assert_same(run, whole)


def test_a_run_none_of_whose_checkpoints_is_whole_says_what_to_do(
    forks: Forks, killed: Path, whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(killed, tmp_path / "run")
    truncate(run / "checkpoints" / "step-000004" / "weights.safetensors")
    (run / "checkpoints" / "step-000002" / "optimizer.safetensors").unlink()
    done = forks.run("train", str(run), "--resume", "--quiet")
    assert done.code == 2
    assert done.err.startswith(f"rltk: no checkpoint of {run} is whole: of step-000004, weights.safetensors has ")
    assert done.err.endswith(f"delete {run / 'checkpoints'} to begin again from the start.\n")
    assert runs.names(run / "checkpoints") == ["step-000002", "step-000004"], "nothing was changed"
    shutil.rmtree(run / "checkpoints")
    assert forks.run("train", str(run), "--resume", "--quiet").code == 0
    assert_same(run, whole)


def test_half_a_line_of_metrics_is_made_again_and_a_lost_one_is_noticed(
    forks: Forks, killed: Path, whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(killed, tmp_path / "run")
    metrics = run / "metrics.jsonl"
    lines = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    done = forks.run("train", str(run), "--resume")
    assert done.code == 0, done.err
    assert "step-000004 is damaged (metrics.jsonl has no step 4) and set aside; going on after step 2" in done.err
    assert_same(run, whole)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [lambda folder: flip(folder / "logprobs.safetensors"), shutil.rmtree])
def test_what_dpo_keeps_of_its_starting_policy_is_not_made_from_another(
    harm: Callable[[Path], object], forks: Forks, guesser: Path, tmp_path: Path
) -> None:
    recipe, run = made.write_recipe(tmp_path, guesser, "dpo", tune={"type": "full"}), tmp_path / "run"
    assert forks.run("train", str(recipe), "--run", str(run), at="torch.optim.AdamW.step", call=3).code == -9
    kept = run / "reference" / "train"
    harm(kept)
    done = forks.run("train", str(run), "--resume")
    assert done.code == 2
    assert done.err.startswith(f"rltk: {kept} is damaged (") and done.err.endswith("); start the run anew.\n")


@pytest.mark.slow
def test_the_log_of_a_resumed_run_is_in_order(forks: Forks, killed: Path, tmp_path: Path) -> None:
    """Steps, and the clock of what is dated."""
    run = shutil.copytree(killed, tmp_path / "run")
    for call in (2, 2):
        forks.run("train", str(run), "--resume", at="torch.optim.AdamW.step", call=call)
    assert forks.run("train", str(run), "--resume").code == 0
    assert [row["step"] for row in runs.rows(run / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    manifest = runs.read(run / "manifest.json")
    dates = [manifest["started"], *(resumed["at"] for resumed in manifest["resumed"]), manifest["finished"]]
    assert len(dates) == 5 and dates == sorted(dates)
    offered = [row["bits_offered"] for row in runs.rows(run / "metrics.jsonl")]
    assert offered == sorted(offered), "what is counted over the run goes on from the checkpoint"
