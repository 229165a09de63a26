"""Two processes give the numbers of one, at every stage of ZeRO, and either can go on from what the other left."""

import importlib.util
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import runs
from tests.distributed import cells
from tests.forks import Forks

needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="DEEPSPEED IS NOT INSTALLED: ZeRO is not tested"
)
FAST = [("grpo", "lora", 0), ("sft", "full", 0), ("ppo", "lora", 2)]
CELLS = [(algorithm, tune, zero) for algorithm in cells.ALGORITHMS for tune in cells.TUNES for zero in range(4)]
MATRIX = [
    pytest.param(
        *cell,
        marks=[
            *([] if cell in FAST else [pytest.mark.slow]),
            *([needs_deepspeed] if cell[2] else []),
        ],
    )
    for cell in CELLS
]
assert len(MATRIX) == 40


class Runs(NamedTuple):
    forks: Forks
    folder: Path
    model: Path

    def recipe(self, algorithm: str, tune: str) -> Path:
        folder = self.folder / f"{algorithm}-{tune}"
        written = folder / "recipe.yaml"
        return written if written.exists() else cells.write(folder, self.model, algorithm, tune)

    def alone(self, algorithm: str, tune: str) -> Path:
        """The run of one process; made once."""
        run = self.folder / f"{algorithm}-{tune}" / "alone"
        if not run.exists():
            done = self.forks.run("train", str(self.recipe(algorithm, tune)), "--run", str(run), "--quiet")
            assert done.code == 0, done.err
        return run

    def together(self, algorithm: str, tune: str, zero: int, offload: str = "none") -> Path:
        """The run of two processes; made once."""
        run = self.folder / f"{algorithm}-{tune}" / f"zero-{zero}-{offload}"
        if not run.exists():
            deepspeed = f"hardware.deepspeed={{zero: {zero}, offload: {offload}}}"
            argv = ("train", str(self.recipe(algorithm, tune)), "--run", str(run), deepspeed)
            first, second = self.forks.together(2, *argv)
            assert (first.code, second.code) == (0, 0), first.err + second.err
            assert second.out == "" and second.err == "", "the first process speaks for all"
        return run


@pytest.fixture(scope="module")
def made(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("together")
    return Runs(forks, folder, cells.policy(folder / "model"))


@pytest.mark.parametrize(("algorithm", "tune", "zero"), MATRIX)
def test_two_processes_give_the_numbers_of_one(algorithm: str, tune: str, zero: int, made: Runs) -> None:
    run, alone = made.together(algorithm, tune, zero), made.alone(algorithm, tune)
    cells.assert_same(run, alone)
    assert [path.name for path in run.iterdir() if path.name.endswith(".writing")] == []
    assert runs.names(run) == runs.names(alone)


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "tune", "zero"), [("grpo", "full", 2), ("sft", "lora", 3)])
def test_what_is_offloaded_trains_alike(algorithm: str, tune: str, zero: int, made: Runs) -> None:
    """DeepSpeed goes other ways then, also where memory of CPUs is all there is."""
    cells.assert_same(made.together(algorithm, tune, zero, "cpu"), made.alone(algorithm, tune))


OWN = '''
def rank(problems, completions):
    assert [problem.id for problem in problems[::4]] == [problem.id for problem in problems[3::4]], "a group is split"
    order = sorted(range(len(completions)), key=lambda row: (completions[row], row))
    return [order.index(row) / len(order) for row in range(len(order))]


def within(problem, completion):
    """A share of the completions, and so perhaps all that a process judges, gets one number."""
    return [(place + 1, ord(character) / 100) for place, character in enumerate(completion)][:2] or 0.1
'''


@pytest.mark.parametrize("name", ["rank", "within"])
def test_rewards_of_ones_own_are_those_of_one_process(name: str, made: Runs, tmp_path: Path) -> None:
    """Ranks among half of the completions would be others; rewards within them must reach the tokens they are for."""
    (tmp_path / "own.py").write_text(OWN)
    argv = ["train", str(made.recipe("grpo", "lora")), "--quiet", f"rewards.{name}={{path: {tmp_path / 'own.py'}}}"]
    alone = made.forks.run(*argv, "--run", str(tmp_path / "alone"))
    assert alone.code == 0, alone.err
    first, second = made.forks.together(2, *argv, "--run", str(tmp_path / "two"))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    cells.assert_same(tmp_path / "two", tmp_path / "alone")


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "tune", "before", "after"),
    [
        ("grpo", "lora", 0, None),
        ("grpo", "full", 3, None),
        ("ppo", "lora", None, 2),
        ("dpo", "lora", 2, None),
        ("sft", "full", None, 3),
        ("ppo", "full", 1, 3),
    ],
)
def test_a_run_goes_on_in_another_number_of_processes(
    algorithm: str, tune: str, before: int | None, after: int | None, made: Runs
) -> None:
    """`before` and `after` are the stages of ZeRO of two processes, None a process alone."""
    started = made.alone(algorithm, tune) if before is None else made.together(algorithm, tune, before)
    run = cut_back(started, started.with_name(f"resumed-{before}-{after}"), step=2)
    argv = ["train", str(run), "--resume", "--quiet", f"hardware.deepspeed.zero={after or 0}"]
    done = [made.forks.run(*argv)] if after is None else made.forks.together(2, *argv)
    assert [one.code for one in done] == [0] * len(done), done[0].err
    cells.assert_same(run, made.alone(algorithm, tune))


def cut_back(run: Path, copy: Path, *, step: int) -> Path:
    """The run as it was right after the checkpoint of this step."""
    shutil.copytree(run, copy)
    for later in copy.glob("checkpoints/step-*"):
        if int(later.name.removeprefix("step-")) > step:
            shutil.rmtree(later)
    for name in ("model", "critic"):
        shutil.rmtree(copy / name, ignore_errors=True)
    (copy / "scores.json").unlink()
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"status": "finished"', '"status": "running"'))
    assert runs.names(copy / "checkpoints") == [f"step-{step:06d}"]
    return copy


def test_what_one_process_refuses_all_leave_with_and_the_first_says(made: Runs, tmp_path: Path) -> None:
    first, second = made.forks.together(2, "train", str(tmp_path / "none.yaml"))
    assert (first.code, second.code) == (2, 2)
    assert first.err.startswith("rltk: ") and first.err.count("\n") == 1 and second.err == ""
    first, second = made.forks.together(2, "train", str(made.recipe("grpo", "lora")), "hardware.processes=3")
    assert (first.code, second.code) == (2, 2)
    assert first.err == (
        "rltk: hardware asks for 3 processes (processes times nodes), and the launcher has started 2; "
        "make them equal.\n"
    )
