"""What a GPU is asked: a GRPO step against TRL's, and how near a decode step comes to what memory allows.

    python -m benchmarks.gpu                 Qwen3-0.6B's shape with random weights, 64 problems x 8 completions of 512
    python -m benchmarks.gpu --small         a shape for CPUs, to see that it works

The floor of a decode step is the time in which weights and cache are read once, at the bandwidth of a large copy.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks.record import device, spread, synchronized_time, write_result
from benchmarks.rollout import NEVER
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.load import load_tokenizer, load_weights
from rltk.recipe.schema import LoRA, Model
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling

SHAPES: dict[str, dict[str, int]] = {
    "qwen3-0.6b": {
        "vocab_size": 151_936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
    "small": {
        "vocab_size": 2048,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--name", default="gpu", help="of the results files: <name>_step and <name>_decode")
    args = parser.parse_args()
    prompts, group, tokens, trl_batch = (4, 2, 24, 4) if args.small else (64, 8, 512, 32)
    folder = make_model(Path(tempfile.mkdtemp()), "small" if args.small else "qwen3-0.6b")
    decode = measure_decode(folder, prompts, group, tokens, repeats=args.repeats + 1)
    print(f"written to {write_result(f'{args.name}_decode', {'settings': vars(args), **decode})}", flush=True)
    options = {"model": folder, "prompts": prompts, "group": group, "max-new-tokens": tokens, "trl-batch": trl_batch}
    options |= {"repeats": args.repeats, "name": f"{args.name}_step", "steps": 2}
    command = [sys.executable, "-m", "benchmarks.step", *(f"--{key}={value}" for key, value in options.items())]
    subprocess.run(command, check=True)


def make_model(folder: Path, shape: str) -> Path:
    """Random weights of this shape, with the embedded policy's tokenizer, whose ids every shape has."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(Model(path="embedded/policy"))
    end = tokenizer.eos_token_id
    config = Qwen3Config.from_dict(
        {**SHAPES[shape], "tie_word_embeddings": True, "eos_token_id": end, "pad_token_id": end}
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(str(folder))  # pyright: ignore[reportArgumentType]
    tokenizer.save_pretrained(str(folder))
    return folder


def measure_decode(folder: Path, prompts: int, group: int, tokens: int, *, repeats: int) -> dict[str, Any]:
    """Seconds a decode step and its floor; completions all run to the end, so the batch stays whole."""
    model = add_lora(load_weights(Model(path=str(folder)), device()), LoRA(rank=8))
    shrink_frozen(model)
    sampler = NativeSampler(model, stops=NEVER, batch=prompts * group, dtype=torch.bfloat16)
    asked = [[5 + (7 * p + t) % 900 for t in range(100)] for p in range(prompts)]
    seconds: list[float] = []
    for repeat in range(repeats):
        started = synchronized_time()
        sampler.sample(asked, group, Sampling(tokens), seed=repeat)
        seconds.append((synchronized_time() - started) / tokens)
    config, bandwidth = model.config.get_text_config(), copy_bandwidth()
    weights = sum(weight.numel() for weight in model.parameters()) * 2
    a_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2
    cache = a_token * (prompts * 100 + prompts * group * tokens / 2)
    floor = (weights + cache) / bandwidth
    step = spread(seconds[1:])
    print(f"decode step {1e3 * step['median']:.2f} ms, {step['median'] / floor:.2f} times its floor", flush=True)
    return {
        "step_seconds": step,
        "floor_seconds": floor,
        "times_floor": step["median"] / floor,
        "bytes_per_second": bandwidth,
        "uses_graphs": sampler.has_captured,
    }


def copy_bandwidth(size: int = 2**28, seconds: float = 1.0) -> float:
    """Bytes a second that a copy reads and writes, the best of several."""
    source = torch.ones(size, dtype=torch.uint8, device=device())
    target, best, end = torch.empty_like(source), 0.0, synchronized_time() + seconds
    while synchronized_time() < end:
        started = synchronized_time()
        target.copy_(source)
        best = max(best, 2 * size / (synchronized_time() - started))
    return best


if __name__ == "__main__":
    main()
