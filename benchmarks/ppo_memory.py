"""Peak memory of a PPO step, LoRA of rank 8 against full fine-tuning, above what the process held before the models.

    python -m benchmarks.ppo_memory

Both hold policy, critic and reference (the KL penalty is on): LoRA as two adapters on one base, full fine-tuning as
three models. Weights are random and of Qwen3's shape, each side in a fresh process: completions of exactly the length
asked for are sampled by `NativeSampler`, get random rewards, and `Learner.learn` takes a step on them.
"""

import argparse
import gc
import json
from typing import Any

import torch

from benchmarks.record import in_fresh_process, peak_memory, write_result
from benchmarks.rollout import NEVER
from benchmarks.scale import RANK, TUNES, Point, policy, prompts
from rltk.onpolicy.critic import make_critic
from rltk.onpolicy.episodes import Episode
from rltk.onpolicy.learner import Learner
from rltk.recipe.schema import Recipe
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling

POINT = Point(hidden=1024, layers=8, prompts=4, group=2, length=32)
MOST = 0.6
"""Of full fine-tuning's memory that LoRA may take."""
MICRO_TOKENS = 256


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo_memory", description=__doc__)
    parser.add_argument("--tune", choices=TUNES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tune:
        print(json.dumps(measure(args.tune)))
        return
    sides = {tune: in_fresh_process("benchmarks.ppo_memory", [f"--tune={tune}"]) for tune in TUNES}
    ratio = sides["lora"]["step_bytes"] / sides["full"]["step_bytes"]
    for tune, side in sides.items():
        print(f"{tune:4} {side['step_bytes'] / 2**20:,.0f} MiB, of which weights {side['weight_bytes'] / 2**20:,.0f}")
    print(f"LoRA takes {ratio:.2f} of full fine-tuning's memory; at most {MOST} was asked for")
    values = {"point": vars(POINT), "rank": RANK, "micro_tokens": MICRO_TOKENS, "sides": sides}
    print(f"written to {write_result('ppo_memory', {**values, 'lora_over_full': ratio, 'target': MOST}, packages=())}")


def measure(tune: str) -> dict[str, Any]:
    """Bytes at the peak of two whole steps above those before the model was made, and bytes of all distinct weights."""
    before = peak_memory()
    chosen, (model, can_pack) = recipe(tune), policy(POINT, tune)
    gc.collect()
    critic = make_critic(chosen, model, lr=1e-6)
    learner = Learner(chosen, model, lr=1e-6, can_pack=can_pack, critic=critic)
    sampler = NativeSampler(model, stops=NEVER, batch=POINT.prompts * POINT.group, dtype=torch.bfloat16)
    for step in range(2):  # the optimizer's state exists from the second on
        groups = sampler.sample(prompts(POINT), POINT.group, Sampling(POINT.length), seed=step)
        asked = zip(prompts(POINT), groups, strict=True)
        learner.learn([episode for prompt, group in asked for episode in episodes(prompt, group)], step)
    parts = {id(part): part for part in (model, critic.model, critic.head, learner.reference)}
    held = {weight.data_ptr(): weight for part in parts.values() for weight in part.parameters()}
    weights = sum(weight.numel() * weight.element_size() for weight in held.values())
    return {"step_bytes": peak_memory() - before, "weight_bytes": weights, "baseline_bytes": before}


def episodes(prompt: list[int], group: list[Any]) -> list[Episode]:
    """Rewards of 1 and -1 in turn: random weights earn none that would tell."""
    return [
        Episode(prompt, rollout, reward=1.0 - 2.0 * (g % 2), advantage=0.0, is_masked=False)
        for g, rollout in enumerate(group)
    ]


def recipe(tune: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "ppo-memory",
            "model": {"path": "embedded/policy"},  # not loaded: only settings of the step are read
            "data": {"path": "embedded/word-problems"},
            "algo": {"type": "ppo", "prompts": POINT.prompts, "group": POINT.group, "kl": 0.05},
            "tune": {"type": tune, "rank": RANK} if tune == "lora" else {"type": tune},
            "optim": {"micro_tokens": MICRO_TOKENS},
            "rollout": {"max_new_tokens": POINT.length},
        }
    )


if __name__ == "__main__":
    main()
