"""Do the shipped recipes learn? Runs each for each arm and seed as a user would, one after the other.

    python -m benchmarks.learning                               gsm8k_grpo, LoRA and full fine-tuning, seeds 0-2
    python -m benchmarks.learning gsm8k_ppo math_grpo --seeds 0 others

Times are of the whole command: loading, both evaluations and training. Finished runs are kept in the results file under
the hash of their resolved recipe; started again, only the rest runs.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.record import earlier, in_fresh_process, write_result
from rltk.recipe import load_recipe, recipe_hash
from rltk.run.provenance import commit

ARMS = {"lora": [], "full": ["tune.type=full"]}
CURVES = ("reward", "gold_reward", "kl", "loss")
"""Metrics kept step by step, where a run has them."""


class Planned(NamedTuple):
    recipe: str
    arm: str
    seed: int
    overrides: list[str]
    hash: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["gsm8k_grpo"], help="names or paths of recipes")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="overrides for every run")
    parser.add_argument("--name", default="learning", help="of the results file")
    args = parser.parse_args()
    runs = earlier(args.name)
    for planned in plan(args):
        if not any(run["recipe_hash"] == planned.hash for run in runs):
            runs.append(run(planned))
            write_result(args.name, {"runs": runs})
        print("\n".join(describe(next(run for run in runs if run["recipe_hash"] == planned.hash))), flush=True)


def plan(args: argparse.Namespace) -> Iterator[Planned]:
    for recipe in args.recipes:
        for seed in args.seeds:
            for arm in args.arms:
                overrides = [f"seed={seed}", *ARMS[arm], *args.set]
                hashed = recipe_hash(load_recipe(recipe, overrides).recipe)
                yield Planned(Path(recipe).stem, arm, seed, overrides, hashed)


def run(planned: Planned) -> dict[str, Any]:
    """One run in a folder of its own that is thrown away; what counts is in the result."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        words = ["train", planned.recipe, *planned.overrides, "--run", f"{folder}/run", "--quiet", "--json"]
        finished = in_fresh_process("rltk", words)
        seconds = time.monotonic() - started
        manifest = json.loads(Path(folder, "run", "manifest.json").read_text())
        metrics = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
    return {
        "recipe": planned.recipe,
        "arm": planned.arm,
        "seed": planned.seed,
        "overrides": planned.overrides,
        "recipe_hash": planned.hash,
        "commit": commit(),
        "lr": manifest["lr"],
        "seconds": round(seconds, 1),
        "scores": finished["scores"],
        "curves": {key: [row.get(key) for row in metrics] for key in CURVES if any(key in row for row in metrics)},
    }


def describe(run: dict[str, Any]) -> Iterator[str]:
    """A line for each score that a task has before and after."""
    head = f"{run['recipe']} {run['arm']:4} seed {run['seed']} {run['seconds']:4.0f} s"
    for task, after in run["scores"]["after"].items():
        before = run["scores"].get("before", {}).get(task, {})
        changes = [
            f"{name} {change(get(before), get(after))}"
            for name, get in {"greedy": plain, "sampled": sampled}.items()
            if get(after) is not None
        ]
        yield f"{head}: {task} {', '.join(changes)}"


def plain(score: dict[str, Any]) -> float | None:
    return score.get("accuracy", score.get("reward"))


def sampled(score: dict[str, Any]) -> float | None:
    return score.get("sampled", {}).get("accuracy")


def change(before: float | None, after: float | None) -> str:
    return " -> ".join("-" if value is None else f"{value:.3f}" for value in (before, after))


if __name__ == "__main__":
    main()
