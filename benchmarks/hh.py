"""The chain on conversations that people had: reward models, then PPO and DPO, from a folder in HH-RLHF's layout.

    python -m benchmarks.hh FOLDER            from the embedded policy, cut down to what two cores can do in some hours
    python -m benchmarks.hh FOLDER --only sft-full reward_model_after_sft-lora ppo_after_sft-lora

The embedded policy knows no English, and its tokenizer makes long texts of it, so what comes out says that the chain
runs and learns, and nothing of how good a reward model can be. After supervised fine-tuning on the preferred replies it
has read as much English as the data has.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from rltk_eval.metrics import clustered_interval, mean_of_items

from benchmarks.chain import circumstances, train
from benchmarks.record import earlier, write_result
from rltk.recipe.arithmetic import dtype_here
from rltk.run.folder import read_jsonl, read_metrics


class Stage(NamedTuple):
    recipe: str
    tune: str
    overrides: list[str]
    start: str | None = None
    """The stage whose model it starts from; None for the embedded policy."""
    referee: str | None = None
    """The stage whose reward model it is trained against."""


PAIRS = ["algo.max_length=256", "algo.batch=16"]
ONE_PASS = ["optim.steps=453", "eval.limit=null"]
"""Of 16 pairs, over 7,250 pairs; all that are held out."""
PROMPTS = ["algo.prompts=16", "optim.lr=6e-4", "rewards.quality.weight=10"]
"""Scores of these reward models are a tenth apart, which the penalties for KL and for a missing stop token would
outweigh."""
SHORT = ["rollout.max_new_tokens=48", "eval.limit=200"]
STAGES = {
    "reward_model-lora": Stage("hh_reward_model", "lora", [*PAIRS, *ONE_PASS, "optim.lr=3e-3"]),
    "reward_model-full": Stage("hh_reward_model", "full", [*PAIRS, *ONE_PASS, "optim.lr=3e-4"]),
    "dpo-lora": Stage("hh_dpo", "lora", [*PAIRS, "optim.lr=5e-4", "optim.steps=200", "eval.limit=null"]),
    "ppo-lora": Stage("hh_ppo", "lora", [*PROMPTS, *SHORT, "optim.steps=40"], referee="reward_model-lora"),
    "sft-full": Stage(
        "hh_sft", "full", ["algo.max_length=384", "algo.batch=16", "optim.lr=5e-4", "optim.steps=600", "eval.limit=200"]
    ),
    "reward_model_after_sft-lora": Stage(
        "hh_reward_model", "lora", [*PAIRS, *ONE_PASS, "optim.lr=3e-3"], start="sft-full"
    ),
    "reward_model_after_sft-full": Stage(
        "hh_reward_model", "full", [*PAIRS, *ONE_PASS, "optim.lr=3e-4"], start="sft-full"
    ),
    "ppo_after_sft-lora": Stage(
        "hh_ppo",
        "lora",
        [*PROMPTS, *SHORT, "optim.steps=60", "algo.kl=0.2"],
        start="sft-full",
        referee="reward_model_after_sft-lora",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hh", description=__doc__)
    parser.add_argument("data", help="folder of the pairs, with a training and a test split")
    parser.add_argument("--folder", type=Path, default=Path("runs/hh"), help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=list(STAGES), default=list(STAGES))
    args = parser.parse_args()
    # Each with the commit that it was made at, so those that are not made now stay.
    rows = {row["run"]: row for row in earlier("hh")}
    for name in args.only:
        stage = STAGES[name]
        path = train(args.folder / name, stage.recipe, overrides(stage, args.data, args.folder), profile="none")
        rows[name] = {"run": name} | measured(path) | circumstances(path)
        print(json.dumps(rows[name]), flush=True)
        write_result("hh", {"runs": [rows[name] for name in STAGES if name in rows]})


def overrides(stage: Stage, data: str, folder: Path) -> list[str]:
    start = "embedded/policy" if stage.start is None else folder / stage.start / "model"
    referee = [] if stage.referee is None else [f"rewards.quality.path={folder / stage.referee}"]
    common = [f"model.path={start}", f"model.dtype={dtype_here()}", f"data.path={data}", f"tune.type={stage.tune}"]
    return [*common, "eval.every=0", *stage.overrides, *referee]


def measured(path: Path) -> dict[str, Any]:
    """Accuracy on held-out pairs beside the best rule that sees length alone; of a policy rewards and KL, too."""
    scores = json.loads((path / "scores.json").read_text())
    ((_, after),) = scores["after"].items()
    keys = ("accuracy", "reward", "ci95", "n", "length_baseline")
    found = {key: after[key] for key in keys if key in after}
    metrics = read_metrics(path)
    if "reward" in metrics[0]:
        ends = metrics[:5], metrics[-5:]
        found["training_reward"] = [fmean(row["reward"] for row in rows) for rows in ends]
        found["kl"] = [fmean(row["kl"] for row in rows) for rows in ends]
        found["largest_kl"] = max(row["kl"] for row in metrics)
        found["gained"] = gained(path)
    return found


def gained(path: Path) -> dict[str, Any]:
    """By how much rewards of held-out prompts rose, the same prompt's before and after: greedy and sampled together."""
    before, after = (
        {(row["id"], row["decoding"], row["sample"]): row["reward"] for row in read_jsonl(file)}
        for when in ("before", "after")
        for file in (path / "items").glob(f"{when}-*.jsonl")
    )
    by_prompt: dict[str, list[float]] = {}
    for key, reward in after.items():
        by_prompt.setdefault(key[0], []).append(reward - before[key])
    prompts = list(by_prompt.values())
    return {"reward": mean_of_items(prompts), "ci95": [*clustered_interval(prompts)], "prompts": len(prompts)}


if __name__ == "__main__":
    main()
