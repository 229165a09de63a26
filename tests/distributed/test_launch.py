"""What starts several processes, what is refused before any is started, and who is heard when one of them dies."""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rltk.cli import main
from rltk.distributed.launch import environments, refuse_unfit
from rltk.errors import UserError
from rltk.recipe.schema import DeepSpeed, Hardware
from tests import runs
from tests.distributed import cells
from tests.forks import SOURCES

SPLIT = "hardware={processes: 4, nodes: 2, deepspeed: {zero: 3, offload: nvme, nvme_dir: /fast}}"


def printed(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["launch", *argv, "--print"]) == 0
    return capfd.readouterr().out


def test_launch_prints_what_to_type_and_what_deepspeed_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    answer: dict[str, Any] = json.loads(printed(capfd, "gsm8k_grpo", SPLIT, "optim.max_grad_norm=0.5", "--json"))
    torchrun, slurm, deepspeed = answer["commands"].values()
    assert torchrun.startswith("torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint ")
    assert slurm.startswith("srun --nodes 2 --ntasks-per-node 4 --gpus-per-node 4 rltk train gsm8k_grpo ")
    assert deepspeed.startswith("deepspeed --hostfile HOSTS --no_local_rank --module rltk train gsm8k_grpo ")
    assert not any(word in command for command in answer["commands"].values() for word in ("--print", "--json"))
    config = answer["deepspeed"]
    assert config["gradient_clipping"] == 0.5
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["offload_param"] == {
        "device": "nvme",
        "nvme_path": "/fast",
        "pin_memory": True,
    }


@pytest.mark.parametrize(("dtype", "is_autocast"), [("bfloat16", True), ("float32", False)])
def test_what_a_trainer_of_trl_gives_deepspeed_is_shown(
    dtype: str, is_autocast: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ("gsm8k_sft", "hardware={processes: 2, deepspeed: {zero: 2}}", f"model.dtype={dtype}", "--json")
    config = json.loads(printed(capfd, *argv))["deepspeed"]
    assert config["torch_autocast"]["enabled"] is is_autocast and config["gradient_clipping"] == "auto"


def test_without_zero_there_is_no_deepspeed(capfd: pytest.CaptureFixture[str]) -> None:
    assert printed(capfd, "gsm8k_grpo", "hardware.processes=2") == (
        "# here\nrltk train gsm8k_grpo hardware.processes=2\n"
        "# or under torchrun\ntorchrun --nproc-per-node 2 -m -- rltk train gsm8k_grpo hardware.processes=2\n"
        "# without DeepSpeed: hardware.deepspeed.zero is 0\n"
    )


@pytest.mark.slow
def test_what_is_printed_for_torchrun_starts_the_run(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recipe, run = cells.write(tmp_path, cells.policy(tmp_path / "model"), "grpo", "lora"), tmp_path / "run"
    argv = (str(recipe), "hardware.processes=2", "--run", str(run), "--quiet", "--json")
    torchrun, *words = shlex.split(json.loads(printed(capfd, *argv))["commands"]["or under torchrun"])
    done = subprocess.run([Path(sys.executable).with_name(torchrun), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, "the first process speaks for all"
    manifest = runs.read(run / "manifest.json")
    assert manifest["status"] == "finished" and manifest["recipe"]["hardware"]["processes"] == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("hardware.deepspeed.offload=cpu", "set hardware.deepspeed.zero to 1, 2 or 3"),
        ("hardware.deepspeed={zero: 2, offload: nvme, nvme_dir: /fast}", "needs hardware.deepspeed.zero=3"),
        ("hardware.deepspeed={zero: 3, offload: nvme}", "goes with offload: nvme, and only with it"),
        ("hardware.deepspeed={zero: 3, nvme_dir: /fast}", "goes with offload: nvme, and only with it"),
        ("hardware.deepspeed.zero=4", "hardware.deepspeed.zero = 4"),
        ("hardware.processes=0", "hardware.processes = 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_the_recipe(
    change: str, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "gsm8k_grpo", change]) == 2
    said = capfd.readouterr().err
    assert said.startswith("rltk: ") and sentence in said


def test_examples_are_shared_evenly(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "gsm8k_sft", "algo.batch=8", "hardware.processes=3"]) == 2
    assert "algo.batch = 8 must be a multiple of the 3 processes that share it" in capfd.readouterr().err


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refuse_unfit(Hardware(processes=2))
    with pytest.raises(UserError, match=r"hardware.processes = 4, and 2 GPUs are visible"):
        refuse_unfit(Hardware(processes=4))


def test_one_node_does_not_start_several() -> None:
    with pytest.raises(UserError, match=r"hardware.nodes = 2: .* `rltk launch --print`"):
        refuse_unfit(Hardware(processes=2, nodes=2))


def test_zero_needs_deepspeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs DeepSpeed, which is not installed"):
        refuse_unfit(Hardware(processes=1, deepspeed=DeepSpeed(zero=2)))


def test_a_resumed_run_may_change_its_hardware_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"recipe": {}, "recipe_hash": "x", "status": "running"}))
    assert main(["train", str(tmp_path), "--resume", "hardware.processes=2", "optim.lr=1"]) == 2
    assert "optim.lr=1: a resumed run keeps its recipe, but for hardware" in capfd.readouterr().err


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("launched")
    yield cells.write(folder, cells.policy(folder / "model"), "grpo", "lora")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCES, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def started(recipe: Path, run: Path, *argv: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rltk", "train", str(recipe), "--run", str(run), "hardware.processes=2", *argv]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_train_starts_the_processes_itself(recipe: Path, tmp_path: Path) -> None:
    process = started(recipe, tmp_path / "run", "--json", "--quiet")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    answer = json.loads(out)
    assert (answer["run"], answer["status"]) == (str(tmp_path / "run"), "finished")
    assert len(runs.rows(tmp_path / "run" / "metrics.jsonl")) == cells.STEPS


@pytest.mark.slow
def test_the_first_that_dies_is_the_one_that_is_named(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(recipe, run, "optim.steps=100000", "--quiet")
    second = wait_for(lambda: steps_of(run) and child_of_rank(process.pid, 1))
    os.kill(second, signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (128 + signal.SIGKILL, "")
    assert err == "rltk: process 1 of 2 was ended by SIGKILL; --resume goes on.\n"
    assert child_of_rank(process.pid, 0) is None


@pytest.mark.slow
def test_an_interrupt_ends_all_after_the_step_with_a_checkpoint(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(recipe, run, "optim.steps=100000", "--quiet")
    wait_for(lambda: steps_of(run))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    done = steps_of(run)
    assert (process.returncode, out) == (130, "")
    assert err == f"interrupted; go on after step {done} with: rltk train {run} --resume\n"
    assert runs.names(run / "checkpoints")[-1] == f"step-{done:06d}"


SLOW = """import os, time

def mine(problem, completion):
    if os.environ["RANK"] == "1" and os.path.exists({sign!r}):
        time.sleep(1000)
    return float(len(completion) % 2)
"""


@pytest.mark.slow
def test_a_grace_time_ends_a_step_that_another_process_cannot_end(recipe: Path, tmp_path: Path) -> None:
    """One is in its step, the other waits for it."""
    run, sign, rewards = tmp_path / "run", tmp_path / "sign", tmp_path / "rewards.py"
    rewards.write_text(SLOW.format(sign=str(sign)))
    grace = ["run.grace=1", "run.checkpoint_every=1000", "optim.steps=100000"]
    process = started(recipe, run, f"rewards.mine={{path: {rewards}}}", *grace, "--quiet")
    wait_for(lambda: steps_of(run))
    sign.touch()
    done = wait_for(lambda: steps_of(run) if has_stood(run) else 0)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (130, "") and time.monotonic() - asked < 60
    assert err == f"interrupted; go on after step {done} with: rltk train {run} --resume\n"
    assert runs.names(run / "checkpoints") == [f"step-{done:06d}"]
    assert runs.read(run / "manifest.json")["status"] == "interrupted"


def has_stood(run: Path) -> bool:
    before = steps_of(run)
    time.sleep(5)
    return steps_of(run) == before


ALONE = """
from rltk.distributed import world
from rltk.distributed.join import joined
from rltk.distributed.place import found
from rltk.errors import UserError

def work():
    if world.rank():
        raise UserError("only this one knows")
    world.meet()

joined(found(), work)
"""


def test_what_one_process_alone_knows_is_said_by_it_at_once() -> None:
    """The first is waiting for it, and cannot say it."""
    first, second = (
        subprocess.Popen([sys.executable, "-c", ALONE], env=environment() | there, stderr=subprocess.PIPE, text=True)
        for there in environments(2)
    )
    try:
        _, said = second.communicate(timeout=300)
        assert second.returncode == 1 and said.startswith("rltk: only this one knows\n")
    finally:
        first.kill()
        first.communicate()


def steps_of(run: Path) -> int:
    file = run / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for(found: Any) -> Any:
    """What `found` gives, once it gives something."""
    deadline = time.monotonic() + 300
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return result


def child_of_rank(parent: int, rank: int) -> int | None:
    """The process of this rank that `parent` has started; it leads a session of its own."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            is_child = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if is_child and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    return None
