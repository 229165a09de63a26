"""How time and memory of one GRPO step grow with completion length, group, problems and model size.

    python -m benchmarks.scale                         minutes
    python -m benchmarks.scale --all                   longer completions, larger groups and deeper models
    python -m benchmarks.scale --axes length --repeats 1

Models have Qwen3's shape and random weights, so a step is put together by hand: `NativeSampler` writes completions of
exactly the length asked for, which get random advantages, and `Learner.learn` takes an optimizer step on them. LoRA of
rank 8 and full fine-tuning take turns, each point in a fresh process, after a step that warms up. An exponent of 1 says
that twice as much takes twice as long. Memory is the peak above what the process held before the model was made; that
of training cannot be told apart where sampling needed more.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks import plan_points
from benchmarks.record import (
    in_fresh_process,
    matmul_ceiling,
    peak_memory,
    spread,
    synchronized_time,
    write_result,
)
from benchmarks.rollout import NEVER
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.recipe.schema import Recipe
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Rollout, Sampling

VOCABULARY, PROMPT_TOKENS, RANK = 4096, 32, 8
TUNES = ("lora", "full")


@dataclass(frozen=True)
class Point:
    hidden: int = 256
    layers: int = 2
    prompts: int = 4
    group: int = 4
    length: int = 64


SHORT: dict[str, tuple[int, ...]] = {
    "length": (32, 64, 128, 256),
    "group": (2, 4, 8),
    "prompts": (2, 4, 8),
    "hidden": (128, 256, 512, 1024),
    "layers": (2, 4),
}
ALL: dict[str, tuple[int, ...]] = {
    "length": (32, 64, 128, 256, 512, 1024, 2048),
    "group": (2, 4, 8, 16, 32),
    "prompts": (2, 4, 8, 16, 32),
    "hidden": (128, 256, 512, 1024),
    "layers": (2, 3, 4),
}
WIDE = Point(hidden=1024)
"""Where LoRA's training should take at most 1 / 1.25 of full fine-tuning's time."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--axes", nargs="+", choices=list(ALL), help="only these")
    parser.add_argument("--repeats", type=int, default=3, help="processes a side where LoRA meets full fine-tuning")
    parser.add_argument("--steps", type=int, default=2, help="timed steps a process")
    parser.add_argument("--all", action="store_true", help="the whole grid")
    parser.add_argument("--name", default="scale", help="of the results file")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--tune", choices=TUNES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(measure(Point(**args.point), args.tune, args.steps)))
        return
    grid = {axis: values for axis, values in (ALL if args.all else SHORT).items() if axis in (args.axes or ALL)}
    rows = [run(point, tune, args.steps) for point in points(grid) for tune in TUNES]
    exponents = {axis: {tune: fits(rows, axis, values, tune) for tune in TUNES} for axis, values in grid.items()}
    for axis, tune in ((axis, tune) for axis in exponents for tune in TUNES):
        print(f"{tune:4} {axis:8} " + ", ".join(f"{key} {value:.2f}" for key, value in exponents[axis][tune].items()))
    values: dict[str, Any] = {"settings": vars(args), "matmul_flops": matmul_ceiling(), "rows": rows}
    values |= {"exponents": exponents, "lora_against_full": wide(args.repeats, args.steps)}
    print(f"written to {write_result(args.name, values, packages=())}")


def points(grid: dict[str, tuple[int, ...]]) -> list[Point]:
    """One setting at a time away from the usual, each point once."""
    return list(dict.fromkeys(replace(Point(), **{axis: value}) for axis, values in grid.items() for value in values))


def run(point: Point, tune: str, steps: int) -> dict[str, Any]:
    arguments = [f"--point={json.dumps(asdict(point))}", f"--tune={tune}", f"--steps={steps}"]
    measured = in_fresh_process("benchmarks.scale", arguments)
    print(
        f"{tune:4} " + " ".join(f"{key} {value:4}" for key, value in asdict(point).items()) + f": "
        f"rollout {measured['rollout_seconds']['median']:.2f} s, training {measured['train_seconds']['median']:.2f} s, "
        f"memory {measured['step_bytes'] / 2**20:,.0f} MiB",
        flush=True,
    )
    return {**asdict(point), "tune": tune, **measured}


def fits(rows: Sequence[dict[str, Any]], axis: str, values: Sequence[int], tune: str) -> dict[str, float]:
    """Exponents of time and memory along one axis."""
    usual = [replace(Point(), **{axis: value}) for value in values]
    chosen = [next(row for row in rows if row["tune"] == tune and Point(**at(row)) == point) for point in usual]
    return {
        "rollout": exponent(values, [row["rollout_seconds"]["median"] for row in chosen]),
        "training": exponent(values, [row["train_seconds"]["median"] for row in chosen]),
        "memory": exponent(values, [row["step_bytes"] for row in chosen]),
    }


def at(row: dict[str, Any]) -> dict[str, int]:
    return {key: row[key] for key in asdict(Point())}


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """b of the least-squares line log cost = a + b log size; nan below two sizes, or where nothing was measured."""
    if len(set(sizes)) < 2 or min(costs) <= 0:
        return math.nan
    x, y = ([math.log(value) for value in values] for values in (sizes, costs))
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - middle_x) ** 2 for a in x)


def wide(repeats: int, steps: int) -> dict[str, Any]:
    """Full fine-tuning's training time over LoRA's at hidden size 1,024, pair by pair."""
    pairs = [{tune: run(WIDE, tune, steps) for tune in TUNES} for _ in range(repeats)]
    ratios = [pair["full"]["train_seconds"]["median"] / pair["lora"]["train_seconds"]["median"] for pair in pairs]
    found = spread(ratios)
    print(f"training at hidden size {WIDE.hidden}: LoRA is {found['median']:.2f} times as fast", flush=True)
    return {"point": asdict(WIDE), "speedup": found, "pairs": pairs}


def measure(point: Point, tune: str, steps: int) -> dict[str, Any]:
    """Seconds of sampling and of training, and bytes at the peak of each, above those before the model was made."""
    before = peak_memory()
    (model, can_pack), chosen = policy(point, tune), recipe(point, tune)
    sampler = NativeSampler(model, stops=NEVER, batch=point.prompts * point.group, dtype=torch.bfloat16)
    learner = Learner(chosen, model, lr=1e-6, can_pack=can_pack)
    sampled, trained, at_rollout = list[float](), list[float](), 0
    for step in range(steps + 1):
        started = synchronized_time()
        rollouts = sampler.sample(prompts(point), point.group, Sampling(point.length), seed=step)
        middle = synchronized_time()
        at_rollout = at_rollout or peak_memory() - before
        learner.learn(episodes(prompts(point), rollouts), step)
        if step:  # the first is a warm-up
            sampled.append(middle - started)
            trained.append(synchronized_time() - middle)
    return {
        "rollout_seconds": spread(sampled),
        "train_seconds": spread(trained),
        "rollout_bytes": at_rollout,
        "step_bytes": peak_memory() - before,
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


class Policy(NamedTuple):
    model: nn.Module
    can_pack: bool


def policy(point: Point, tune: str) -> Policy:
    """Random weights that bfloat16 holds exactly, as a checkpoint's would be; packing is tried before they shrink."""
    size = plan_points.Point(tune, tune=tune, hidden=point.hidden, layers=point.layers, vocabulary=VOCABULARY)
    return Policy(*plan_points.build(size))


def recipe(point: Point, tune: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "scale",
            "model": {"path": "embedded/policy"},  # not loaded: only settings of the step are read
            "data": {"path": "embedded/word-problems"},
            "algo": {"type": "grpo", "prompts": point.prompts, "group": point.group},
            "tune": {"type": tune, "rank": RANK} if tune == "lora" else {"type": tune},
            "rollout": {"max_new_tokens": point.length},
        }
    )


def prompts(point: Point) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(VOCABULARY, (point.prompts, PROMPT_TOKENS), generator=generator).tolist()


def episodes(asked: Sequence[list[int]], rollouts: Sequence[Sequence[Rollout]]) -> list[Episode]:
    """Advantages of 1 and -1 in turn: every completion teaches, as random weights earn no reward that would tell."""
    return [
        Episode(prompt, rollout, reward=0.0, advantage=1.0 - 2.0 * (g % 2), is_masked=False)
        for prompt, group in zip(asked, rollouts, strict=True)
        for g, rollout in enumerate(group)
    ]


if __name__ == "__main__":
    main()
