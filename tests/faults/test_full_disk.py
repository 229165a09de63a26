"""A disk that is full at some moment ends a run with a sentence; once there is room it goes on to the same numbers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import runs
from tests.faults.small_disk import small_disk
from tests.forks import BALLAST, Forks
from tests.offline import made
from tests.test_resume import assert_same

DISK = 16
"""MiB; a run takes about 2."""
SECTIONS: dict[str, Any] = {"tune": {"type": "full"}, "optim": {"steps": 4, "lr": 0.003}}


class Moment(NamedTuple):
    arm: str
    at: str
    call: int
    kept: int
    """Steps of the newest checkpoint by then."""


MOMENTS = {
    "manifest": Moment("grpo", "rltk.run.session.Session.introduce", 1, 0),
    "items of the first evaluation": Moment("grpo", "rltk.run.folder.RunFolder.write_items", 1, 0),
    "metrics": Moment("grpo", "rltk.run.folder.RunFolder.log", 3, 2),
    "checkpoint": Moment("grpo", "rltk.run.checkpoint.trained_weights", 2, 2),
    "model": Moment("grpo", "rltk.onpolicy.session.save_model", 1, 4),
    "scores": Moment("grpo", "rltk.run.folder.RunFolder.add_scores", 2, 4),
    "checkpoint of DPO": Moment("dpo", "rltk.run.checkpoint.trained_weights", 2, 2),
    "reference of DPO": Moment("dpo", "rltk.offline.dpo.keep_reference", 1, 0),
}
FAST = ("metrics", "checkpoint")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disks") / "small", DISK) as folder:
        yield folder


@pytest.fixture(scope="module")
def whole(forks: Forks, guesser: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The recipe of an arm, beside the run of it that nothing ended."""
    begun: dict[str, Path] = {}

    def whole(arm: str) -> Path:
        if arm not in begun:
            folder = tmp_path_factory.mktemp(arm)
            if arm == "grpo":
                path = runs.write_recipe(folder, guesser, **SECTIONS)
            else:
                path = made.write_recipe(folder, guesser, arm, **SECTIONS)
            assert forks.run("train", str(path), "--run", str(folder / "run")).code == 0
            begun[arm] = path
        return begun[arm]

    return whole


@pytest.mark.parametrize(
    "moment", [*FAST, *(pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS if moment not in FAST)]
)
def test_a_full_disk_costs_no_step_that_was_kept(
    moment: str, forks: Forks, disk: Path, whole: Callable[[str], Path]
) -> None:
    arm, at, call, kept = MOMENTS[moment]
    recipe, run = whole(arm), disk / moment.replace(" ", "-")
    done = forks.run("train", str(recipe), "--run", str(run), "--quiet", at=at, call=call, fill=disk)
    said = f"rltk: the disk of {run} is full; make room, then go on with: rltk train {run} --resume"
    assert (done.code, done.err.splitlines()[-1]) == (2, said)
    again = forks.run("train", str(run), "--resume", "--quiet")
    assert (again.code, again.err.splitlines()[-1]) == (2, said), "there is no more room than before"
    steps = [row["step"] for row in runs.rows(run / "metrics.jsonl")] if (run / "metrics.jsonl").exists() else []
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= kept
    newest = max((path.name for path in run.glob("checkpoints/*")), default="step-000000")
    assert newest == f"step-{kept:06d}"
    (disk / BALLAST).unlink()
    done = forks.run("train", str(run), "--resume")
    assert done.code == 0, done.err
    assert "damaged" not in done.err
    assert_same(run, recipe.parent / "run")


def test_a_run_that_finds_no_room_to_begin_leaves_nothing(
    forks: Forks, disk: Path, whole: Callable[[str], Path]
) -> None:
    run = disk / "new" / "run"
    at = "rltk.onpolicy.session.assemble"  # the last thing before the manifest
    done = forks.run("train", str(whole("grpo")), "--run", str(run), "--quiet", at=at, fill=disk)
    assert (done.code, done.err) == (2, f"rltk: the disk of {run} is full; make room, then start again.\n")
    (disk / BALLAST).unlink()
    assert not (disk / "new").exists()


def test_a_limit_of_file_sizes_is_said_as_such(forks: Forks, whole: Callable[[str], Path], tmp_path: Path) -> None:
    """What `ulimit -f` and some file systems refuse is not for want of room."""
    recipe, run = whole("grpo"), tmp_path / "run"
    at, call = "rltk.run.checkpoint.trained_weights", 2
    done = forks.run("train", str(recipe), "--run", str(run), "--quiet", at=at, call=call, largest_file=20_000)
    assert done.code == 2
    assert done.err == (
        f"rltk: a file in {run} would be larger than ulimit -f or its file system allows; raise that limit, then "
        f"go on with: rltk train {run} --resume\n"
    )
    assert runs.read(run / "manifest.json")["status"] == "failed"
    assert runs.names(run / "checkpoints") == ["step-000002"]
    assert forks.run("train", str(run), "--resume").code == 0
    assert_same(run, recipe.parent / "run")


def test_an_evaluation_on_a_full_disk_goes_on_when_there_is_room(
    forks: Forks, disk: Path, whole: Callable[[str], Path]
) -> None:
    run, out = whole("grpo").parent / "run", disk / "evaluation"
    argv = ("eval", str(run), "--out", str(out))
    done = forks.run(*argv, at="rltk.evaluation.items.append_jsonl", fill=disk)
    assert done.code == 2 and "No space left on device" in done.err and "Traceback" not in done.err
    (disk / BALLAST).unlink()
    assert forks.run(*argv, "--resume").code == 0
    assert runs.read(out / "scores.json")
