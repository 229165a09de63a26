"""The whole chain on embedded dialogues: does a policy trained against a reward model gain in truth, too?

    python -m benchmarks.chain                      a reward model for each seed, then PPO and GRPO against it
    python -m benchmarks.chain --seeds 0 --algorithms ppo --arms lora full

The laptop profiles of hh_reward_model, hh_ppo and hh_grpo. The gold reward of the dialogues is the truth: no reward
model sees it. A gain is given in standard deviations of the gold reward of the untrained policy's samples. Runs stay in
`--folder`; those that are finished there are read and not made again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from benchmarks.learning import ARMS
from benchmarks.record import write_result
from rltk.run.folder import read_jsonl, read_manifest, read_metrics

TASK = "dialogues"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chain", description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--algorithms", nargs="+", choices=["ppo", "grpo"], default=["ppo", "grpo"])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["lora"], help="of the policies")
    parser.add_argument("--folder", type=Path, default=Path("runs/chain"), help="where runs are kept")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in args.seeds:
        referee = args.folder / f"reward_model-seed{seed}"
        rows.append(ranking(train(referee, "hh_reward_model", [f"seed={seed}"])) | {"seed": seed})
        print(describe_ranking(rows[-1]), flush=True)
        for algorithm in args.algorithms:
            for arm in args.arms:
                overrides = [f"seed={seed}", *ARMS[arm], f"rewards.quality={{type: model, path: {referee}}}"]
                path = train(args.folder / f"{algorithm}-{arm}-seed{seed}", f"hh_{algorithm}", overrides)
                rows.append(gain(path) | {"recipe": f"hh_{algorithm}", "arm": arm, "seed": seed})
                print(describe(rows[-1]), flush=True)
        write_result("chain", {"runs": rows})


def train(path: Path, recipe: str, overrides: Sequence[str], *, profile: str = "laptop") -> Path:
    """The folder of a finished run of the recipe; one that was begun there goes on."""
    state = read_manifest(path)["status"] if path.exists() else None
    if state == "finished":
        return path
    anew = [recipe, *overrides, "--run", str(path), "--profile", profile]
    words = anew if state is None else [str(path), "--resume"]
    subprocess.run([sys.executable, "-m", "rltk", "train", *words, "--quiet"], check=True)
    return path


def ranking(path: Path) -> dict[str, Any]:
    """What a reward model came to."""
    score = json.loads((path / "scores.json").read_text())["after"][TASK]
    return {
        "recipe": "hh_reward_model",
        "accuracy": score["accuracy"],
        "ci95": score["ci95"],
        "n": score["n"],
        "length_baseline": score["length_baseline"],
        **circumstances(path),
    }


def gain(path: Path) -> dict[str, Any]:
    """Rewards of samples before and after, by the reward model and in truth; KL is the last step's."""
    before, after = (list(sampled(path, when)) for when in ("before", "after"))
    truth = [row["gold_reward"] for row in before]
    gained = fmean(row["gold_reward"] for row in after) - fmean(truth)
    return {
        "reward": [fmean(row["reward"] for row in rows) for rows in (before, after)],
        "gold": [fmean(row["gold_reward"] for row in rows) for rows in (before, after)],
        "gold_sd_before": pstdev(truth),
        "gold_gain_in_sd": gained / pstdev(truth),
        "n": len(truth),
        "kl": read_metrics(path)[-1]["kl"],
        **circumstances(path),
    }


def sampled(path: Path, when: str) -> Iterator[dict[str, Any]]:
    rows = read_jsonl(path / "items" / f"{when}-{TASK}.jsonl")
    return (row for row in rows if row["decoding"] == "sampled")


def circumstances(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    return {key: manifest[key] for key in ("recipe_hash", "commit", "lr", "started", "finished", "hardware")}


def describe_ranking(row: dict[str, Any]) -> str:
    low, high = row["ci95"]
    return f"reward model, seed {row['seed']}: {row['accuracy']:.3f} [{low:.3f}, {high:.3f}] of {row['n']} pairs"


def describe(row: dict[str, Any]) -> str:
    rewards, golds = (f"{row[key][0]:.2f} -> {row[key][1]:.2f}" for key in ("reward", "gold"))
    gained = f"{row['gold_gain_in_sd']:.2f} standard deviations"
    return f"{row['recipe']} {row['arm']} seed {row['seed']}: reward {rewards}, gold {golds}, {gained}"


if __name__ == "__main__":
    main()
