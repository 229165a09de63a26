"""Small runs of SFT and DPO: their data, their recipes, and the parts of one that has not begun to train."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from rltk.commands.train import begin
from rltk.offline.reward_session import RewardWork
from rltk.offline.session import OfflineWork
from rltk.offline.stage import Stage
from rltk.recipe.load import load_recipe
from rltk.run.checkpoint import Progress
from rltk.run.folder import RunFolder
from rltk.run.interrupt import Stop
from rltk.run.plan import Plan
from rltk.run.progress import Watch
from rltk.run.session import Desk
from rltk.run.trackers import Trackers
from tests import files, runs

LORA: dict[str, Any] = {"type": "lora", "rank": 4}
FULL: dict[str, Any] = {"type": "full"}
TUNES = {"lora": LORA, "full": FULL}


def preferences(path: Path, count: int = 20, *, first: int = 0) -> Path:
    """Pairs whose chosen reply ends in a digit, two to a prompt."""
    rows = [
        {
            "prompt": f"What is {i // 2} times nothing, plus {7 + i % 3}?",
            "chosen": f"It is {7 + i % 3}",
            "rejected": "I do not know that." if i % 2 else "no",
        }
        for i in range(first, first + count)
    ]
    return files.jsonl(path, rows)


def write_recipe(folder: Path, model: Path, algorithm: str, data: str = "", /, **sections: Any) -> Path:
    """A recipe file beside its data: `problems` or `preferences`, by default what suits the algorithm."""
    folder.mkdir(parents=True, exist_ok=True)
    is_problems = (
        data or {"sft": "problems", "dpo": "preferences", "reward_model": "preferences"}[algorithm]
    ) == "problems"
    base: dict[str, Any] = {
        "name": "t",
        "model": {"path": str(model), "dtype": "float32"},
        "data": {"path": str(runs.problems(folder / "train.jsonl"))}
        if is_problems
        else {"path": str(preferences(folder / "train.jsonl")), "kind": "preferences", "validation": 6},
        "algo": {"type": algorithm, "batch": 4},
        "tune": LORA,
        "optim": {"steps": 4, "lr": 0.01},
        "eval": {"tasks": [str(runs.problems(folder / "test.jsonl", 6, first=1000))], "samples": 0}
        if is_problems and algorithm != "reward_model"
        else {"split": "validation"},
        "run": {"dir": str(folder / "runs"), "checkpoint_every": 2},
    }
    if is_problems:
        base["rollout"] = {"max_new_tokens": 6}
    if algorithm == "reward_model":
        base["data"]["validation"] = 6
    return files.recipe(folder / "recipe.yaml", base, sections)


class Started(NamedTuple):
    work: OfflineWork | RewardWork
    desk: Desk
    stage: Stage


def start(recipe: Path, folder: Path) -> Started:
    """A run right before its first step."""
    plan = Plan(load_recipe(str(recipe)).recipe, folder, False, None, ())
    work, watch = begin(plan), Watch(steps=plan.recipe.optim.steps, is_quiet=True)
    work.assemble(torch.device("cpu"))
    assert isinstance(work, (OfflineWork, RewardWork))
    desk = Desk(RunFolder(folder), watch, Trackers((), folder, "t", {}), Stop(watch.say))
    return Started(work, desk, work.stage(Progress(0, 0), desk))
