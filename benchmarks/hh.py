"""The chain on conversations that people had: reward models, then PPO and DPO, from a folder in HH-RLHF's layout.

    python -m benchmarks.hh FOLDER            from the embedded policy, cut down to what two cores can do in an hour

The embedded policy knows no English, and its tokenizer makes long texts of it, so what comes out says that the chain
runs and learns, and nothing of how good a reward model can be.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.chain import circumstances, train
from benchmarks.record import earlier, write_result
from rltk.recipe.arithmetic import dtype_here
from rltk.run.folder import read_metrics

PAIRS = ["algo.max_length=256", "algo.batch=16"]
RECIPES = {
    "reward_model-lora": ("hh_reward_model", [*PAIRS, "optim.lr=3e-3", "optim.steps=453", "eval.every=0"]),
    "reward_model-full": ("hh_reward_model", [*PAIRS, "optim.lr=3e-4", "optim.steps=453", "eval.every=0"]),
    "dpo-lora": ("hh_dpo", [*PAIRS, "optim.lr=5e-4", "optim.steps=200", "eval.every=0"]),
    "ppo-lora": (
        "hh_ppo",
        ["algo.prompts=16", "optim.lr=6e-4", "optim.steps=40", "eval.every=0", "rewards.quality.weight=10"],
    ),
}
"""Recipe and overrides; 453 steps of 16 pairs are one pass over 7,250 pairs. Scores of that reward model are a tenth
apart, which the penalties for KL and for a missing stop token would outweigh."""
SHORT = ["rollout.max_new_tokens=48", "eval.limit=200"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hh", description=__doc__)
    parser.add_argument("data", help="folder of the pairs, with a training and a test split")
    parser.add_argument("--folder", type=Path, default=Path("runs/hh"), help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    args = parser.parse_args()
    # Each with the commit that it was made at, so those that are not made now stay.
    rows = {row["run"]: row for row in earlier("hh")}
    for name in args.only:
        path = train(args.folder / name, *planned(name, args.data, args.folder), profile="none")
        rows[name] = {"run": name} | measured(path) | circumstances(path)
        print(json.dumps(rows[name]), flush=True)
        write_result("hh", {"runs": [rows[name] for name in RECIPES if name in rows]})


def planned(name: str, data: str, folder: Path) -> tuple[str, list[str]]:
    recipe, overrides = RECIPES[name]
    _, tune = name.split("-")
    arithmetic = f"model.dtype={dtype_here()}"
    common = ["model.path=embedded/policy", arithmetic, f"data.path={data}", f"tune.type={tune}", *overrides]
    if recipe == "hh_ppo":
        return recipe, [*common, *SHORT, f"rewards.quality.path={folder / 'reward_model-lora'}"]
    return recipe, [*common, "eval.limit=null"]


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
    return found


if __name__ == "__main__":
    main()
