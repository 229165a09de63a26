"""Same learning? Reward curves of rltk with `native`, of rltk with `generate`, and of TRL, on the same problems.

    python -m benchmarks.curves                        3 seeds of 25 steps each

Each run is a fresh process of `benchmarks.step`, so all three share its settings: the embedded policy, LoRA of rank 8,
16 problems x 8 completions, the same learning rate. TRL shuffles the problems in its own way, so curves differ by
their noise. Finished runs are kept in the results file and not made again.
"""

import argparse
import json
from statistics import fmean
from typing import Any

from benchmarks.record import RESULTS, in_fresh_process, write_result

SIDES = {
    "native": ["--side=rltk", "--engine=native"],
    "generate": ["--side=rltk", "--engine=generate"],
    "trl": ["--side=trl"],
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--tune", choices=("lora", "full"), default="lora")
    parser.add_argument("--name", default="curves", help="of the results file")
    args = parser.parse_args()
    curves = finished(args.name)
    for seed in args.seeds:
        for side, options in SIDES.items():
            key = f"{args.tune} {side} {args.steps} steps seed {seed}"
            if key not in curves:
                settings = [f"--steps={args.steps}", f"--seed={seed}", f"--tune={args.tune}"]
                curves[key] = in_fresh_process("benchmarks.step", [*settings, *options])["reward"]
                write_result(args.name, {"settings": vars(args), "curves": curves})
            print(f"{key}: {describe(curves[key])}", flush=True)
    summary = compare(args, curves)
    print(json.dumps(summary, indent=2))
    write_result(args.name, {"settings": vars(args), "summary": summary, "curves": curves})


def finished(name: str) -> dict[str, list[float]]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["curves"] if path.exists() else {}


def describe(curve: list[float]) -> str:
    return f"{fmean(thirds(curve)[0]):.3f} -> {fmean(thirds(curve)[-1]):.3f}"


def thirds(curve: list[float]) -> list[list[float]]:
    size = max(1, len(curve) // 3)
    return [curve[:size], curve[size : 2 * size], curve[2 * size :] or curve[-1:]]


def compare(args: argparse.Namespace, curves: dict[str, list[float]]) -> dict[str, Any]:
    """Mean reward of each third of the run, by seed; whether native's mean lies within the seeds of each peer."""
    by_side = {
        side: [
            [fmean(part) for part in thirds(curves[f"{args.tune} {side} {args.steps} steps seed {seed}"])]
            for seed in args.seeds
        ]
        for side in SIDES
    }
    return {
        side: {
            "mean_reward_of_thirds_by_seed": values,
            "native_within_seed_range": [
                min(column) <= fmean(ours) <= max(column)
                for column, ours in zip(zip(*values, strict=True), zip(*by_side["native"], strict=True), strict=True)
            ],
        }
        for side, values in by_side.items()
    }


if __name__ == "__main__":
    main()
