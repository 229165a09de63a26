"""One GRPO step of rltk and of TRL's GRPOTrainer, in alternation, on the same checkpoint, problems and settings.

    python -m benchmarks.step                          the embedded policy, LoRA rank 8 and full fine-tuning
    python -m benchmarks.step --tune lora --repeats 5

Each side runs in a fresh process: a warm-up step, then `--steps` timed ones. All take turns, so that a machine that is
slow for a while is slow for all. TRL runs with its fastest setting that needs no other package: `generate`
with its dynamic cache under bfloat16 autocast, one micro-batch, no gradient checkpointing.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from rltk_eval.answers import grade_number
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record import (
    device,
    in_fresh_process,
    matmul_ceiling,
    peak_memory,
    spread,
    synchronized_time,
    write_result,
)
from rltk.data.problems import load_problems
from rltk.models.load import load_config, local_path
from rltk.onpolicy.assemble import assemble, learning_rate, load_inputs
from rltk.onpolicy.loop import train_step
from rltk.recipe.schema import LoRA, OnPolicy, Recipe


@dataclass
class Measured:
    step_seconds: list[float] = field(default_factory=list)
    rollout_seconds: list[float] = field(default_factory=list)
    completion_tokens: list[float] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    memory: int = 0
    """Bytes at the peak above what the process held before the model loaded."""
    flops_per_token: float = 0.0
    """Of a whole step by PyTorch's counter, for each completion token; rltk's alone, as what there is to compute."""


Pair = dict[str, dict[str, Any]]
"""What was measured of either side."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--model", default="embedded/policy")
    parser.add_argument("--data", default="embedded/word-problems")
    parser.add_argument("--tune", choices=("lora", "full", "both"), default="both")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--steps", type=int, default=3, help="timed steps a process")
    parser.add_argument("--repeats", type=int, default=5, help="processes a side")
    parser.add_argument("--trl-batch", type=int, default=0, help="completions in TRL's micro-batch; 0: all of a step")
    parser.add_argument("--name", default="step", help="of the results file")
    parser.add_argument("--side", choices=("rltk", "trl"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print(json.dumps(asdict((measure_rltk if args.side == "rltk" else measure_trl)(args))))
        return
    tunes = ("lora", "full") if args.tune == "both" else (args.tune,)
    ceiling = matmul_ceiling()
    rounds = [{tune: pair_of(args, tune, repeat) for tune in tunes} for repeat in range(args.repeats)]
    values: dict[str, Any] = {"settings": vars(args), "matmul_flops": ceiling}
    values["results"] = {tune: sum_up(tune, [one[tune] for one in rounds], ceiling) for tune in tunes}
    if len(tunes) > 1:
        values["lora_against_full"] = lora_against_full(rounds)
    print(f"written to {write_result(args.name, values)}")


def pair_of(args: argparse.Namespace, tune: str, repeat: int) -> Pair:
    """Both sides, one after the other."""
    shared = [
        f"--{key.replace('_', '-')}={getattr(args, key)}"
        for key in ("model", "data", "prompts", "group", "max_new_tokens", "steps", "trl_batch")
    ]
    pair = {
        side: in_fresh_process("benchmarks.step", [*shared, f"--tune={tune}", f"--side={side}"])
        for side in ("rltk", "trl")
    }
    times = ", ".join(f"{side} {step_time(measured):.2f} s" for side, measured in pair.items())
    print(f"{tune} {repeat + 1}/{args.repeats}: {times}", flush=True)
    return pair


def lora_against_full(rounds: Sequence[dict[str, Pair]]) -> dict[str, float]:
    """The time of rltk's full fine-tuning over that of its LoRA, for each completion token, round by round."""
    found = spread([per_token(one["full"]["rltk"]) / per_token(one["lora"]["rltk"]) for one in rounds])
    print(f"a step of LoRA is {found['median']:.2f} [{found['min']:.2f}, {found['max']:.2f}] times as fast as in full")
    return found


def sum_up(tune: str, pairs: Sequence[Pair], ceiling: float) -> dict[str, Any]:
    """`speedup` is TRL's step time over rltk's, pair by pair, and `sampling_speedup` that of sampling alone.

    `share_of_ceiling` is what of `ceiling`, in FLOP/s, goes into products that rltk's step needs.
    """
    summary: dict[str, Any] = {side: summarize([pair[side] for pair in pairs]) for side in ("rltk", "trl")}
    for side in ("rltk", "trl"):
        shares = [pair["rltk"]["flops_per_token"] / per_token(pair[side]) / ceiling for pair in pairs]
        summary[side]["share_of_ceiling"] = spread(shares)
    summary["speedup"] = spread([per_token(pair["trl"]) / per_token(pair["rltk"]) for pair in pairs])
    summary["sampling_speedup"] = spread([sampling(pair["trl"]) / sampling(pair["rltk"]) for pair in pairs])
    summary["memory_ratio"] = spread([pair["rltk"]["memory"] / pair["trl"]["memory"] for pair in pairs])
    report(tune, summary)
    return summary


def step_time(side: dict[str, Any]) -> float:
    return sum(side["step_seconds"]) / len(side["step_seconds"])


def per_token(side: dict[str, Any]) -> float:
    """Seconds a completion token: the sides draw other completions, so their lengths differ a little."""
    return sum(side["step_seconds"]) / sum(side["completion_tokens"])


def sampling(side: dict[str, Any]) -> float:
    """Seconds a completion token."""
    return sum(side["rollout_seconds"]) / sum(side["completion_tokens"])


def summarize(processes: list[dict[str, Any]]) -> dict[str, Any]:
    def each(key: str) -> list[float]:
        return [value for process in processes for value in process[key]]

    training = [step - rollout for step, rollout in zip(each("step_seconds"), each("rollout_seconds"), strict=True)]
    speed = [
        tokens / seconds for tokens, seconds in zip(each("completion_tokens"), each("rollout_seconds"), strict=True)
    ]
    return {
        "step_seconds": spread(each("step_seconds")),
        "rollout_seconds": spread(each("rollout_seconds")),
        "train_seconds": spread(training),
        "sampled_tokens_per_second": spread(speed),
        "completion_tokens": spread(each("completion_tokens")),
        "reward": spread(each("reward")),
        "peak_memory_bytes": spread([process["memory"] for process in processes]),
    }


def report(tune: str, summary: dict[str, Any]) -> None:
    for side in ("rltk", "trl"):
        values = summary[side]
        print(
            f"{tune:5} {side:5} step {values['step_seconds']['median']:.2f} s "
            f"(rollout {values['rollout_seconds']['median']:.2f}, training {values['train_seconds']['median']:.2f}), "
            f"{values['sampled_tokens_per_second']['median']:,.0f} tokens/s, "
            f"memory {values['peak_memory_bytes']['median'] / 2**20:,.0f} MiB, "
            f"{values['share_of_ceiling']['median']:.1%} of the machine's matmul ceiling"
        )
    speed, sampled = (
        f"{found['median']:.2f} [{found['min']:.2f}, {found['max']:.2f}]"
        for found in (summary["speedup"], summary["sampling_speedup"])
    )
    print(f"{tune:5} speedup {speed}, of sampling {sampled}, memory {summary['memory_ratio']['median']:.2f}")


def recipe(args: argparse.Namespace, **sections: Any) -> Recipe:
    """What both sides run; sections are laid over it key by key."""
    values: dict[str, Any] = {
        "name": "benchmark",
        "model": {"path": args.model},
        "data": {"path": args.data},
        "algo": {"type": "grpo", "prompts": args.prompts, "group": args.group},
        "tune": {"type": args.tune},
        "optim": {"steps": args.steps + 1},
        "rollout": {"max_new_tokens": args.max_new_tokens},
        "eval": {"limit": 1},
    }
    for name, value in sections.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return Recipe.model_validate(values)


def on_policy(chosen: Recipe) -> OnPolicy:
    """The settings of a recipe that samples: prompts, group, loss."""
    assert isinstance(chosen.algo, OnPolicy)
    return chosen.algo


def measure_rltk(args: argparse.Namespace) -> Measured:
    chosen, measured = recipe(args), Measured()
    inputs = load_inputs(chosen)
    before = peak_memory()
    trainer = assemble(chosen, inputs, device()).trainer
    for step in range(args.steps + 1):
        started = synchronized_time()
        metrics = train_step(trainer, step)
        if step:
            measured.step_seconds.append(synchronized_time() - started)
            measured.rollout_seconds.append(metrics["rollout_seconds"])
            measured.completion_tokens.append(metrics["sampled_tokens"])
            measured.reward.append(metrics["reward"])
    measured.memory = peak_memory() - before
    with FlopCounterMode(display=False) as counter:
        tokens = train_step(trainer, args.steps)["sampled_tokens"]
    measured.flops_per_token = counter.get_total_flops() / tokens
    return measured


def measure_trl(args: argparse.Namespace) -> Measured:
    from transformers import TrainerCallback

    chosen, measured = recipe(args), Measured()
    rows = trl_rows(chosen)
    before = peak_memory()

    class Clock(TrainerCallback):
        started = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = synchronized_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            measured.step_seconds.append(synchronized_time() - self.started)

    trainer = trl_trainer(chosen, rows, measured.reward, args.trl_batch)
    trainer.add_callback(Clock())
    generate = trainer._generate_single_turn
    trainer._generate_single_turn = timed(generate, measured)
    trainer.train()
    for values in (measured.step_seconds, measured.rollout_seconds, measured.completion_tokens, measured.reward):
        del values[0]
    measured.memory = peak_memory() - before
    return measured


def trl_rows(chosen: Recipe) -> Any:
    """The recipe's problems as TRL wants them, a `datasets.Dataset`."""
    from datasets import Dataset

    problems = load_problems(chosen.data, "train")
    return Dataset.from_list(
        [{"prompt": [{"role": "user", "content": problem.question}], "gold": problem.answer} for problem in problems]
    )


def trl_trainer(chosen: Recipe, rows: Any, seen: list[float], batch: int = 0) -> Any:
    """TRL's `GRPOTrainer` for what the recipe says; each step's mean reward is added to `seen`.

    `batch` completions go through the model at once in training, 0: all of a step.
    """
    from peft import LoraConfig
    from trl import GRPOConfig, GRPOTrainer

    algo, tune = on_policy(chosen), chosen.tune
    completions = algo.prompts * algo.group
    options = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        seed=chosen.seed,
        use_cpu=device().type == "cpu",
        bf16=True,
        report_to="none",
        save_strategy="no",
        max_steps=chosen.optim.steps,
        per_device_train_batch_size=batch or completions,
        gradient_accumulation_steps=completions // (batch or completions),
        gradient_checkpointing=False,
        num_generations=algo.group,
        max_completion_length=chosen.rollout.max_new_tokens,
        learning_rate=learning_rate(chosen, load_config(chosen.model)),
        lr_scheduler_type="constant",
        loss_type="dr_grpo",
        scale_rewards="none",
        beta=0.0,
        mask_truncated_completions=True,
        disable_tqdm=True,
        logging_strategy="no",
    )

    def rewards(completions: list[list[dict[str, str]]], gold: list[str], **_: Any) -> list[float | None]:
        texts = [completion[0]["content"] for completion in completions]
        found = [float(grade_number(text, answer).correct) for text, answer in zip(texts, gold, strict=True)]
        seen.append(sum(found) / len(found))
        return [*found]

    lora = None
    if isinstance(tune, LoRA):
        lora = LoraConfig(r=tune.rank, lora_alpha=tune.alpha, target_modules="all-linear", task_type="CAUSAL_LM")  # pyright: ignore[reportArgumentType]  # PEFT types alpha int and computes with floats
    return GRPOTrainer(
        model=local_path(chosen.model.path),
        reward_funcs=rewards,
        args=options,
        train_dataset=rows,
        peft_config=lora,
    )


def timed(generate: Callable[..., Any], measured: Measured) -> Callable[..., Any]:
    """TRL's sampling, with its time and its completion tokens noted."""

    def run(*args: Any, **kwargs: Any) -> Any:
        started = synchronized_time()
        result = generate(*args, **kwargs)
        measured.rollout_seconds.append(synchronized_time() - started)
        measured.completion_tokens.append(sum(len(ids) for ids in result[0]))
        return result

    return run


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
