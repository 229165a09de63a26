"""Does the shipped recipe learn? Runs it for each arm and seed as a user would, one after the other.

    python -m benchmarks.learning                      LoRA and full fine-tuning, seeds 0-2

Times are of the whole command: loading, both evaluations (greedy and sampled, 1,000 problems each) and training.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write_result

ARMS = {"lora": [], "full": ["tune.type=full"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--recipe", default="recipes/gsm8k_grpo.yaml")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides for every run")
    parser.add_argument("--name", default="learning", help="of the results file")
    args = parser.parse_args()
    runs = []
    for seed in args.seeds:
        for arm in args.arms:
            runs.append(run(args.recipe, arm, seed, args.set))
            print(describe(runs[-1]), flush=True)
    print(f"written to {write_result(args.name, {'settings': vars(args), 'runs': runs}, packages=())}")


def run(recipe: str, arm: str, seed: int, overrides: list[str]) -> dict[str, Any]:
    """One run in a folder of its own that is thrown away; what counts is in the result."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rltk", "train", recipe, f"seed={seed}", *ARMS[arm], *overrides]
        started = time.monotonic()
        finished = subprocess.run(
            [*command, "--run", f"{folder}/run", "--quiet", "--json"], capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        if finished.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{finished.stderr[-3000:]}")
        manifest = json.loads(Path(folder, "run", "manifest.json").read_text())
        rewards = [json.loads(line)["reward"] for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
    [(task, after)] = json.loads(finished.stdout.strip().splitlines()[-1])["scores"]["after"].items()
    before = json.loads(finished.stdout.strip().splitlines()[-1])["scores"]["before"][task]
    kept = {"arm": arm, "seed": seed, "task": task, "seconds": round(seconds, 1), "lr": manifest["lr"]}
    return kept | {"before": before, "after": after, "reward": rewards, "recipe_hash": manifest["recipe_hash"]}


def describe(row: dict[str, Any]) -> str:
    def change(before: dict[str, Any], after: dict[str, Any]) -> str:
        return f"{before['accuracy']:.1%} -> {after['accuracy']:.1%}"

    greedy = change(row["before"], row["after"])
    sampled = change(row["before"]["sampled"], row["after"]["sampled"])
    return f"{row['arm']:4} seed {row['seed']}: greedy {greedy}, sampled {sampled}, {row['seconds']:.0f} s"


if __name__ == "__main__":
    main()
