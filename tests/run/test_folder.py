"""Where a run goes, which one is resumed, and that no two processes share one."""

import subprocess
import sys
from pathlib import Path

import pytest

from rltk.errors import UserError
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.recipe.schema import Recipe
from rltk.run.folder import (
    RunFolder,
    can_be_evaluated,
    new_run_folder,
    read_manifest,
    resume_command,
    run_recipe,
    run_to_resume,
)
from rltk.run.lock import locked
from tests.recipes import recipe
from tests.runs import begun, names, rows


@pytest.fixture
def one(tmp_path: Path) -> Recipe:
    return recipe(run={"dir": str(tmp_path / "runs")})


def test_a_run_is_named_by_its_recipe_and_counted(one: Recipe, tmp_path: Path) -> None:
    parent, name = tmp_path / "runs" / "test", recipe_hash(one)
    for expected in (name, f"{name}-2", f"{name}-3"):
        assert new_run_folder(one, None).path == parent / expected
        begun(parent / expected, one, status="finished")
    other = one.model_copy(update={"seed": 1})
    assert new_run_folder(other, None).path == parent / recipe_hash(other)
    assert not (parent / recipe_hash(other)).exists(), "nothing is made before it is needed"


def test_where_a_run_is_kept_does_not_change_what_it_is(one: Recipe) -> None:
    assert recipe_hash(one) == recipe_hash(recipe(run={"dir": "elsewhere", "keep": 7}))


def test_the_run_to_resume_is_the_newest_that_is_not_finished(one: Recipe, tmp_path: Path) -> None:
    parent, name = tmp_path / "runs" / "test", recipe_hash(one)
    with pytest.raises(UserError, match="there is no unfinished run of this recipe under"):
        run_to_resume(one, None)
    noon = "2026-01-01T12:00:00+00:00"
    begun(parent / name, one, started="2026-01-01T11:00:00+00:00")
    for count in (2, 10):
        begun(parent / f"{name}-{count}", one, started=noon)
    begun(parent / f"{name}-11", one, started=noon, status="finished")
    begun(parent / "0123456789ab", one.model_copy(update={"seed": 1}), started=noon)
    assert run_to_resume(one, None) == parent / f"{name}-10"
    assert new_run_folder(one, None).unfinished == parent / f"{name}-10"
    (parent / f"{name}-10" / "manifest.json").write_text("{")
    assert run_to_resume(one, None) == parent / f"{name}-2"
    (parent / name / "manifest.json").write_text("{")
    (parent / f"{name}-2" / "manifest.json").write_text("{")
    assert new_run_folder(one, None) == (parent / f"{name}-3", None)


def test_a_manifest_gives_its_recipe_back(one: Recipe, tmp_path: Path) -> None:
    assert run_recipe(begun(tmp_path / "run", one)) == one
    with pytest.raises(UserError, match=r"is not a run folder: it has no manifest\.json"):
        read_manifest(tmp_path)


def test_an_old_manifest_that_no_longer_is_a_recipe_says_so(one: Recipe, tmp_path: Path) -> None:
    run = begun(tmp_path / "run", one, recipe={**resolved(one), "nonsense": 1})
    with pytest.raises(UserError, match=r"manifest.json.*nonsense = 1 is not a key of a recipe"):
        run_recipe(run)


def test_metrics_survive_the_process_and_are_cut_back_to_a_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.log({"step": step, "reward": step / 4, "kl": float("nan")})
    again = RunFolder(tmp_path)
    assert [row["step"] for row in again.metrics] == [1, 2, 3]
    again.forget_after(2)
    again.log({"step": 3, "reward": 1.0})
    assert [row["reward"] for row in rows(tmp_path / "metrics.jsonl")] == [0.25, 0.5, 1.0]


def test_scores_are_added_beside_those_that_are_there(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.add_scores("before", {"a": {"accuracy": 0.25}})
    RunFolder(tmp_path).add_scores("after", {"a": {"accuracy": 0.5}})
    assert folder.scores() == {"before": {"a": {"accuracy": 0.25}}, "after": {"a": {"accuracy": 0.5}}}


def test_what_preferences_trained_is_evaluated_only_where_it_ranks_them() -> None:
    assert can_be_evaluated("number", "sft") and can_be_evaluated("preferences", "reward_model")
    assert not can_be_evaluated("preferences", "ppo") and not can_be_evaluated("preferences", "dpo")


def test_the_command_to_resume_survives_a_shell() -> None:
    assert resume_command(Path("runs/t/0")) == "rltk train runs/t/0 --resume"
    assert resume_command(Path("my runs/it's")) == """rltk train 'my runs/it'"'"'s' --resume"""


# The lock


def test_what_nothing_was_written_to_is_taken_away_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no"), locked(tmp_path / "a" / "b" / "c", is_new=True):
        assert names(tmp_path / "a" / "b" / "c") == [".lock"]
        raise UserError("no")
    assert names(tmp_path) == []


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with locked(tmp_path / "a" / "b", is_new=True):
        pass
    assert names(tmp_path / "a") == ["b"] and names(tmp_path / "a" / "b") == []


def test_what_was_written_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "a", is_new=True):
        (tmp_path / "a" / "manifest.json").write_text("{}")
        raise KeyboardInterrupt
    assert names(tmp_path / "a") == [".lock", "manifest.json"]
    with locked(tmp_path / "a", is_new=False):
        pass


def test_a_folder_that_another_process_began_meanwhile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="another process has begun a run in"), locked(tmp_path, is_new=True):
        pass
    assert (tmp_path / "manifest.json").exists()


def test_the_lock_is_held_against_other_processes_and_dies_with_its_own(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from rltk.run.lock import locked\n"
        "with locked(Path(sys.argv[1]), is_new=True): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        pid = (tmp_path / "run" / ".lock").read_text()
        with (
            pytest.raises(UserError, match=r"another process is working in .*run; wait for it, or stop it first"),
            locked(tmp_path / "run", is_new=True),
        ):
            pass
        assert (tmp_path / "run" / ".lock").read_text() == pid == str(other.pid)
        other.kill()
    with locked(tmp_path / "run", is_new=True):
        pass
    assert not (tmp_path / "run" / "manifest.json").exists()
