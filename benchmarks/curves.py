"""Do they learn alike? Rewards of rltk with `native`, rltk with `generate` and TRL's GRPOTrainer on the same problems.

    python -m benchmarks.curves                        three seeds of 30 steps each: nine runs
    python -m benchmarks.curves --seeds 0 --steps 4    tries it out

LoRA of rank 8, the same settings and learning rate (as in `benchmarks.step`); each run in a fresh process. The sides
draw problems and completions of their own, so curves differ as those of two seeds do: what is asked is whether native's
lie inside the other sides' spread over seeds. Finished runs are kept in the results file; started again, the rest runs.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.record import RESULTS, device, earlier, in_fresh_process, write_result
from benchmarks.step import recipe, trl_rows, trl_trainer
from rltk.onpolicy.assemble import assemble, load_inputs
from rltk.onpolicy.loop import train_step
from rltk.recipe.schema import Recipe
from rltk.run.provenance import commit

SIDES = ("native", "generate", "trl")
SETTINGS = ("model", "data", "prompts", "group", "max_new_tokens", "steps", "lr")
"""What all runs of a results file have in common."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("--model", default="embedded/policy")
    parser.add_argument("--data", default="embedded/word-problems")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--lr", type=float, help="rltk's own choice if not given")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--name", default="curves", help="of the results file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(rewards(args)))
        return
    settings = {key: getattr(args, key) for key in SETTINGS}
    runs = earlier(args.name)
    if any(run["settings"] != settings for run in runs):
        parser.error(f"{RESULTS / args.name}.json has runs of other settings: remove it, or give another --name")
    for seed, side in ((seed, side) for seed in args.seeds for side in SIDES):
        if not any((run["side"], run["seed"]) == (side, seed) for run in runs):
            runs.append(run_one(side, seed, settings))
            write_result(args.name, {"settings": settings, "runs": runs, "summary": summary(runs)})
    for name, against in summary(runs)["native_against"].items():
        print(f"native's last third lies inside {name}'s seeds: {json.dumps(against)}")
    print(f"written to {write_result(args.name, {'settings': settings, 'runs': runs, 'summary': summary(runs)})}")


def run_one(side: str, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """One run, with what it was made from: a results file may be finished days later."""
    given = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items() if value is not None]
    found = in_fresh_process("benchmarks.curves", [*given, f"--side={side}", f"--seeds={seed}"])
    print(f"{side:8} seed {seed}: last third {last_third(found['reward']):.3f}", flush=True)
    return {"side": side, "seed": seed, "settings": settings, "commit": commit(), **found}


def rewards(args: argparse.Namespace) -> dict[str, Any]:
    """Mean reward at each step of one run."""
    [seed], side = args.seeds, args.side
    optim = {"steps": args.steps} | ({} if args.lr is None else {"lr": args.lr})
    engine = {} if side == "trl" else {"engine": side}
    args.tune = "lora"
    chosen = recipe(args, seed=seed, tune={"rank": 8}, optim=optim, rollout=engine)
    torch.manual_seed(seed)  # TRL's adapter; rltk seeds its own
    found = of_trl(chosen) if side == "trl" else of_rltk(chosen)
    assert len(found) == args.steps
    return {"reward": found}


def of_rltk(chosen: Recipe) -> list[float]:
    trainer = assemble(chosen, load_inputs(chosen), device()).trainer
    return [train_step(trainer, step)["reward"] for step in range(chosen.optim.steps)]


def of_trl(chosen: Recipe) -> list[float]:
    seen = list[float]()
    trl_trainer(chosen, trl_rows(chosen), seen).train()
    return seen


def last_third(curve: Sequence[float]) -> float:
    """Mean of the last third of the steps, one at least."""
    return statistics.mean(curve[-max(1, len(curve) // 3) :])


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each side, and how native's mean compares; None where there are no runs."""
    by_side = {side: [last_third(run["reward"]) for run in runs if run["side"] == side] for side in SIDES}
    native = statistics.mean(by_side["native"]) if by_side["native"] else math.nan
    others = {side: by_side[side] for side in SIDES if side != "native"}
    return {
        "last_third": {side: spread_of(values) for side, values in by_side.items()},
        "native_against": {side: inside(native, values) for side, values in others.items()},
    }


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """nan where there are too few values to say."""
    return {
        "mean": statistics.mean(values) if values else math.nan,
        "min": min(values, default=math.nan),
        "max": max(values, default=math.nan),
        "sd": statistics.stdev(values) if len(values) > 1 else math.nan,
    }


def inside(value: float, values: Sequence[float]) -> dict[str, bool | None]:
    """Whether `value` lies from least to most of `values`, and within two standard deviations; None below two."""
    if len(values) < 2 or math.isnan(value):
        return {"range": None, "two_sd": None}
    spread = spread_of(values)
    is_in_range = spread["min"] <= value <= spread["max"]
    return {"range": is_in_range, "two_sd": abs(value - spread["mean"]) <= 2 * spread["sd"]}


if __name__ == "__main__":
    main()
