"""EFF-3 and EFF-4: how long steps take with LoRA and with full fine-tuning, in turns on one machine."""

from typing import Any, Literal

import numpy as np
import torch

from rltk.compare.outcome import Outcome, Verdict
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.onpolicy.loop import Trainer, train_step
from rltk.recipe.fields import Count, Section, Text
from rltk.recipe.load import load_recipe
from rltk.recipe.schema import Recipe

DRAWS = 2000
ARMS = {"lora": "tune={type: lora, rank: 8}", "full": "tune={type: full}"}


class Settings(Section):
    recipe: Text = "gsm8k_grpo"
    profile: Text = "auto"
    steps: Count = 8
    """Timed steps an arm; one more before them is not counted."""
    part: Literal["step", "train"] = "step"
    """step: sampling and training; train: training alone."""
    between: tuple[float, float] | None = None
    """The rule: LoRA's speed-up lies strictly between these; null only reports it."""


def measure(settings: Settings) -> Outcome:
    trainers = {arm: make_trainer(settings, overlay) for arm, overlay in ARMS.items()}
    seconds: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for step in range(settings.steps + 1):
        for arm, trainer in trainers.items():  # in turns, so that what else the machine does hits both
            metrics = train_step(trainer, step)
            row = {"rollout": metrics["rollout_seconds"], "train": metrics["train_seconds"]}
            seconds[arm].append(row | {"tokens": metrics["sampled_tokens"]})
    return judge({arm: rows[1:] for arm, rows in seconds.items()}, settings)


def make_trainer(settings: Settings, overlay: str) -> Trainer:
    recipe: Recipe = load_recipe(settings.recipe, [overlay], settings.profile).recipe
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return assemble(recipe, load_inputs(recipe), device).trainer


def judge(seconds: dict[str, list[dict[str, float]]], settings: Settings) -> Outcome:
    """The speed-up is of seconds a token, since arms may write more or less."""
    ratios = np.array(
        [
            cost(full, settings.part) / cost(lora, settings.part)
            for lora, full in zip(seconds["lora"], seconds["full"], strict=True)
        ]
    )
    rng = np.random.default_rng(0)
    drawn = np.median(rng.choice(ratios, (DRAWS, len(ratios))), axis=1)
    interval = (float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975)))
    share = np.mean([row["rollout"] / (row["rollout"] + row["train"]) for row in seconds["lora"]])
    summary = f"LoRA {np.median(ratios):.2f} times as fast a token ({settings.part}); sampling {share:.0%} of a step"
    details: dict[str, Any] = {"seconds": seconds, "sampling_share": float(share)}
    return Outcome(verdict(interval, settings.between), summary, float(np.median(ratios)), interval, details)


def cost(row: dict[str, float], part: str) -> float:
    seconds = row["train"] if part == "train" else row["train"] + row["rollout"]
    return seconds / row["tokens"]


def verdict(interval: tuple[float, float], between: tuple[float, float] | None) -> Verdict:
    if between is None:
        return "reported"
    if between[0] < interval[0] and interval[1] < between[1]:
        return "reproduced"
    return "not reproduced" if interval[1] <= between[0] or interval[0] >= between[1] else "inconclusive"
