"""Seconds of an on-policy step as `rltk plan --measure` predicts them, against whole steps of the whole model.

    python -m benchmarks.plan_time                      GRPO and PPO, LoRA and full fine-tuning
    python -m benchmarks.plan_time --only grpo --repeats 5

Measurement and step take turns in one process, so that a machine that is busy is so for both; compared are medians of
their ratios. The measurement builds one and two layers of the model, the step has all of them.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.plan_points import Point, config, points, subject
from benchmarks.plan_steps import on_policy, real_seconds
from benchmarks.record import in_fresh_process, spread, write_result
from rltk.onpolicy.timing import measured_step

BOUND = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_time", description=__doc__)
    parser.add_argument("--only", nargs="+", help="only configurations with one of these in their names")
    parser.add_argument("--repeats", type=int, default=5, help="measurements and steps of each")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(Point(**args.point), args.repeats)))
        return
    rows = [run(point, args.repeats) for point in chosen(args.only)]
    worst = max(abs(row["ratio"]["median"] - 1) for row in rows)
    print(f"{len(rows)} configurations; the worst prediction is {worst:.1%} off, the bound is {BOUND:.0%}")
    print(f"written to {write_result('plan_time', {'bound': BOUND, 'worst': worst, 'rows': rows}, packages=())}")


def chosen(only: list[str] | None) -> list[Point]:
    """Deeper than two layers, or there would be nothing to predict."""
    names = ("grpo-lora", "grpo-full", "ppo-lora", "ppo-full")
    deep = [replace(point, layers=6) for point in points() if point.name in names]
    return [point for point in deep if not only or any(word in point.name for word in only)]


def run(point: Point, repeats: int) -> dict[str, Any]:
    measured = in_fresh_process(
        "benchmarks.plan_time", [f"--point={json.dumps(asdict(point))}", f"--repeats={repeats}"]
    )
    ratio = measured["ratio"]
    print(
        f"{point.name:12} predicted / real {ratio['median']:.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}], "
        f"a step {measured['step']['median']:.2f} s",
        flush=True,
    )
    return {**asdict(point), **measured}


def measure(point: Point, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config(point).to_dict()))
        planned, made = subject(point, folder), on_policy(point)
        real_seconds(point, made, 0)  # warms up
        pairs = [(measured_step(planned).total, sum(real_seconds(point, made, n + 1).values())) for n in range(repeats)]
    return {
        "ratio": spread([predicted / real for predicted, real in pairs]),
        "step": spread([real for _, real in pairs]),
        "predicted": spread([predicted for predicted, _ in pairs]),
    }


if __name__ == "__main__":
    main()
