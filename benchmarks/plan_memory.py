"""Peak memory and time of a training step as `rltk plan` predicts them, against what a fresh process measures.

    python -m benchmarks.plan_memory                    every configuration, minutes
    python -m benchmarks.plan_memory --only lora-wide   some of them

Models have Qwen3's shape and random weights. Each configuration runs in a process of its own: a small step first, so
that libraries are loaded, then the baseline, the model, and two steps with completions of exactly the planned length.
Measured is the peak resident size above the baseline (on CUDA what the allocator held), predicted what
`rltk.plan.memory` says from the shape alone.

glibc keeps freed blocks of less than a threshold that grows to 32 MiB, which made a process of this size up to a third
larger than what it held, from run to run. Here everything from 1 MiB on is given back to the system when it is freed,
so the resident size is what is held; `--malloc default` measures with glibc's own threshold.
"""

import argparse
import ctypes
import gc
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.record import device, in_fresh_process, synchronized_time, write_result
from benchmarks.rollout import NEVER
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.scoring import packs_faithfully
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.plan.memory import Layout, plan_memory
from rltk.plan.shape import shape_of
from rltk.plan.workload import Assumed, workload_of
from rltk.recipe.schema import LoRA, Recipe
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling

PROMPT = 32
BOUND = 0.15
M_MMAP_THRESHOLD, GIVEN_BACK = -3, 2**20
"""glibc's name for the size from which a block is a mapping of its own."""


@dataclass(frozen=True)
class Point:
    name: str = "base"
    tune: str = "lora"
    dtype: str = "bfloat16"
    hidden: int = 256
    layers: int = 4
    vocabulary: int = 4096
    prompts: int = 8
    group: int = 4
    length: int = 64
    checkpointing: bool = False
    kl: float = 0.0
    micro_tokens: int = 16384


def points() -> Iterator[Point]:
    sizes = [
        Point("base"),
        Point("wide", hidden=512, layers=3),
        Point("long", length=256, prompts=2),
        Point("reference", kl=0.04, vocabulary=8192),
        Point("float32", dtype="float32"),
    ]
    for point in sizes:
        for tune in ("lora", "full"):
            for checkpointing in (False, True):
                ending = "-checkpointing" if checkpointing else ""
                yield replace(point, name=f"{tune}-{point.name}{ending}", tune=tune, checkpointing=checkpointing)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_memory", description=__doc__)
    parser.add_argument("--only", nargs="+", help="only configurations with one of these in their names")
    parser.add_argument("--name", default="plan_memory", help="of the results file")
    parser.add_argument("--malloc", choices=("tight", "default"), default="tight", help="threshold of glibc's malloc")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        if args.malloc == "tight":
            assert ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, GIVEN_BACK) == 1
        print(json.dumps(measure(Point(**args.point))))
        return
    chosen = [point for point in points() if not args.only or any(word in point.name for word in args.only)]
    rows = [run(point, args.malloc) for point in chosen]
    worst = max(abs(row["ratio"] - 1) for row in rows)
    print(f"{len(rows)} configurations; the worst prediction is {worst:.1%} off, the bound is {BOUND:.0%}")
    found = {"bound": BOUND, "malloc": args.malloc, "worst": worst, "rows": rows}
    print(f"written to {write_result(args.name, found, packages=())}")


def run(point: Point, malloc: str) -> dict[str, Any]:
    predicted = plan(point)
    arguments = [f"--point={json.dumps(asdict(point))}", f"--malloc={malloc}"]
    measured = in_fresh_process("benchmarks.plan_memory", arguments)
    row = {**asdict(point), "predicted": predicted, "measured": measured}
    row["ratio"] = predicted["total"] / measured["total"]
    print(
        f"{point.name:30} predicted {predicted['total'] / 2**20:7,.0f} MiB, measured {measured['total'] / 2**20:7,.0f} "
        f"({row['ratio']:.2f}); sampling {predicted['sampling'] / 2**20:,.0f} / {measured['sampling'] / 2**20:,.0f}, "
        f"training {predicted['training'] / 2**20:,.0f} / {measured['training'] / 2**20:,.0f}",
        flush=True,
    )
    return row


def plan(point: Point) -> dict[str, Any]:
    shape = shape_of(config(point).to_dict())
    assert shape is not None
    chosen = recipe(point)
    work = workload_of(chosen, Assumed(PROMPT))
    memory = plan_memory(shape, chosen.tune, work, Layout(device=device().type))
    parts = {phase: getattr(memory, phase)._asdict() for phase in ("sampling", "training")}
    return {
        "total": memory.peak.total,
        "sampling": memory.sampling.total,
        "training": memory.training.total,
        "parts": parts,
    }


def config(point: Point) -> Qwen3Config:
    heads = max(2, point.hidden // 64)
    return Qwen3Config(
        vocab_size=point.vocabulary,
        hidden_size=point.hidden,
        intermediate_size=3 * point.hidden,
        num_hidden_layers=point.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )


def measure(point: Point) -> dict[str, Any]:
    step(replace(point, hidden=64, layers=1, vocabulary=512, length=8, prompts=2))  # libraries load, threads start
    before = reset_peak()
    return step(point, before)


def step(point: Point, before: int = 0) -> dict[str, Any]:
    base, chosen = random_base(point), recipe(point)
    can_pack = device().type == "cpu" and packs_faithfully(
        base
    )  # tried before the frozen weights shrink, as a run does
    model = tuned(base, point)
    dtype = torch.bfloat16 if point.dtype == "bfloat16" else torch.float32
    sampler = NativeSampler(model, stops=NEVER, batch=point.prompts * point.group, dtype=dtype)
    learner = Learner(chosen, model, lr=1e-6, can_pack=can_pack)
    generator = torch.Generator().manual_seed(0)
    asked = torch.randint(point.vocabulary, (point.prompts, PROMPT), generator=generator).tolist()
    peaks, seconds = {"sampling": 0, "training": 0}, {"sampling": 0.0, "training": 0.0}
    for number in range(2):
        reset_peak()
        started = synchronized_time()
        rollouts = sampler.sample(asked, point.group, Sampling(point.length), seed=number)
        peaks["sampling"], middle = max(peaks["sampling"], peak() - before), synchronized_time()
        reset_peak()
        episodes = [
            Episode(prompt, rollout, 0.0, 1.0 - 2.0 * (g % 2), False)
            for prompt, group in zip(asked, rollouts, strict=True)
            for g, rollout in enumerate(group)
        ]
        learner.learn(episodes, number)
        peaks["training"] = max(peaks["training"], peak() - before)
        seconds = {"sampling": middle - started, "training": synchronized_time() - middle}
    return {"total": max(peaks.values()), **peaks, "seconds": seconds}


def random_base(point: Point) -> Qwen3ForCausalLM:
    """Random weights that bfloat16 holds exactly, as a checkpoint's would be."""
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config(point)).bfloat16().float().to(device()).eval()  # pyright: ignore[reportArgumentType]
    if point.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def tuned(base: Qwen3ForCausalLM, point: Point) -> nn.Module:
    if point.tune == "full":
        return base
    adapted = add_lora(base, LoRA(rank=8))
    if point.dtype == "bfloat16":
        shrink_frozen(adapted)
    return adapted


def recipe(point: Point) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "plan",
            "model": {
                "path": "embedded/policy",  # not loaded: only settings of the step are read
                "dtype": point.dtype,
                "gradient_checkpointing": point.checkpointing,
            },
            "data": {"path": "embedded/word-problems"},
            "algo": {"type": "grpo", "prompts": point.prompts, "group": point.group, "kl": point.kl},
            "tune": {"type": "lora", "rank": 8} if point.tune == "lora" else {"type": "full"},
            "optim": {"micro_tokens": point.micro_tokens},
            "rollout": {"max_new_tokens": point.length},
        }
    )


def reset_peak() -> int:
    """Bytes held now, from where peaks are counted; what is free is given back to the system first."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return status("VmRSS")


def peak() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else status("VmHWM")


def status(key: str) -> int:
    """Bytes that Linux says this process holds."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
