"""Sampling alone: rltk's `native` engine against `generate` as TRL calls it, over group size, length and batch.

    python -m benchmarks.rollout                       a short sweep
    python -m benchmarks.rollout --all                 groups 1-32, completions 64-2,048, batches 8-512

Both sample from the same weights under bfloat16 autocast, in turns within one process. Stop tokens are off, so that
both write exactly the same number of tokens. Where vLLM is installed its engine has a column too.
"""

import argparse
import itertools
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.record import device, matmul_ceiling, spread, synchronized_time, write_result
from benchmarks.vllm_column import VllmColumn, is_there
from rltk.data.problems import load_problems
from rltk.data.prompt import PromptRenderer
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.load import load_tokenizer, load_weights
from rltk.recipe.schema import Data, LoRA, Model
from rltk.rollout.generate import GenerateSampler
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampler, Sampling

NEVER = (2**31 - 1,)
"""A stop token outside every vocabulary."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollout", description=__doc__)
    parser.add_argument("--model", default="embedded/policy")
    parser.add_argument("--tune", choices=("lora", "full"), default="lora")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="the whole grid")
    parser.add_argument("--name", default="rollout", help="of the results file")
    args = parser.parse_args()
    groups, lengths, batches = (1, 8, 32), (64, 256), (32, 128)
    if args.all:
        groups, lengths, batches = (1, 2, 4, 8, 16, 32), (64, 256, 1024, 2048), (8, 32, 128, 512)
    model, prompts = prepare(args)
    beside: dict[str, Sampler] = {}
    if is_there():
        beside["vllm"] = VllmColumn(args.model, model)
    else:
        print("vLLM is not installed: no column of its own", flush=True)
    rows = []
    for group, length, batch in itertools.product(groups, lengths, batches):
        if batch >= group:
            rows.append(compare(model, prompts[: batch // group], group, length, args.repeats, beside))
    found = {"settings": vars(args), "has_vllm": bool(beside), "matmul_flops": matmul_ceiling(), "rows": rows}
    write_result(args.name, found, packages=("vllm",) if beside else ())


def prepare(args: argparse.Namespace) -> tuple[torch.nn.Module, list[list[int]]]:
    described = Model(path=args.model)
    tokenizer, base = load_tokenizer(described), load_weights(described, device())
    data = Data(path="embedded/word-problems", size=512)
    prompts = [PromptRenderer(tokenizer, data).tokens(problem) for problem in load_problems(data, "train")]
    model = add_lora(base, LoRA(rank=8)) if args.tune == "lora" else base.requires_grad_(True)
    shrink_frozen(model)
    return model, prompts


def compare(
    model: torch.nn.Module,
    prompts: list[list[int]],
    group: int,
    length: int,
    repeats: int,
    beside: Mapping[str, Sampler],
) -> dict[str, Any]:
    rows = len(prompts) * group
    samplers: dict[str, Sampler] = {
        "native": NativeSampler(model, stops=NEVER, batch=rows, dtype=torch.bfloat16),
        "generate": GenerateSampler(model, stops=NEVER, pad=0, batch=rows, dtype=torch.bfloat16),
        **beside,
    }
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    for repeat in range(repeats + 1):
        for name, sampler in samplers.items():
            started = synchronized_time()
            sampler.sample(prompts, group, Sampling(length), seed=repeat)
            if repeat:  # the first is a warm-up
                seconds[name].append(synchronized_time() - started)
    speedup = spread([slow / fast for slow, fast in zip(seconds["generate"], seconds["native"], strict=True)])
    speed = {name: spread([rows * length / value for value in values]) for name, values in seconds.items()}
    print(
        f"group {group:2} length {length:4} batch {rows:3}: native {speed['native']['median']:8,.0f} tokens/s, "
        f"generate {speed['generate']['median']:8,.0f}, ratio {speedup['median']:.2f}"
        + "".join(f", {name} {speed[name]['median']:8,.0f}" for name in beside),
        flush=True,
    )
    return {"group": group, "length": length, "batch": rows, "tokens_per_second": speed, "speedup": speedup}


if __name__ == "__main__":
    main()
