"""Does an export write what its run writes? Greedy completions of held-out problems, to their full length.

    rltk train gsm8k_grpo optim.steps=20 eval.limit=20 --run runs/exported
    python -m benchmarks.export runs/exported          a finished LoRA run of a policy

The run is loaded as rltk loads it and sampled by its `native` engine in float32. Its adapter and the models merged in
float32 and bfloat16 are each loaded in a process of their own that imports transformers, PEFT and torch and nothing of
rltk (`export_reader.py`), and complete the same prompts with `generate`, one at a time. Logits are compared wherever
the run chose a token. Where a completion is another, the result says at which token, and how far apart the run's two
best logits were there: a near tie falls either way by rounding.

Shapes: T tokens of a completion, V vocabulary.
"""

import argparse
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from rltk_eval.answers import grade_all
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from benchmarks import export_reader
from benchmarks.record import spread, write_result
from rltk.commands.export import make
from rltk.data.problems import Problem, load_problems
from rltk.data.prompt import PromptRenderer
from rltk.export.faithful import largest_difference
from rltk.export.load import load_tokenizer_of, load_trained
from rltk.export.source import Source, find_source
from rltk.models.load import stop_tokens
from rltk.models.quiet import quiet_libraries
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling

FORMS = {"adapter": (False, "float32"), "merged": (True, "float32"), "merged in bfloat16": (True, "bfloat16")}
"""Whether it is merged, and the type it is saved in."""


class Asked(NamedTuple):
    problems: list[Problem]
    prompts: list[list[int]]
    max_new_tokens: int
    tokenizer: PreTrainedTokenizerBase


class Written(NamedTuple):
    completions: list[list[int]]
    logits: list[Tensor]
    """[T, V] for each of the run's completions: what each of its tokens was chosen from."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("run", help="the folder of a finished run with LoRA")
    parser.add_argument("--problems", type=int, default=200, help="of the test split")
    parser.add_argument("--name", default="export", help="of the results file")
    args = parser.parse_args()
    quiet_libraries()
    source = find_source(args.run)
    if source.adapter is None or source.is_reward_model:
        parser.error(f"{args.run} holds no adapter of a policy")
    asked = ask(source, args.problems)
    model = load_trained(source)
    own = of_run(model, asked)
    rounded = completions(model, asked, torch.bfloat16)
    found = {name: compared(name, own, elsewhere(source, *FORMS[name], own, asked), asked) for name in FORMS}
    print(write_result(args.name, result(args, source, asked, own, rounded, found), packages=("trl", "safetensors")))


def ask(source: Source, count: int) -> Asked:
    problems = load_problems(source.recipe.data, "test")[:count]
    tokenizer = load_tokenizer_of(source)
    renderer = PromptRenderer(tokenizer, source.recipe.data)
    prompts = [renderer.tokens(problem) for problem in problems]
    return Asked(problems, prompts, source.recipe.rollout.max_new_tokens, tokenizer)


def of_run(model: nn.Module, asked: Asked) -> Written:
    written = completions(model, asked, torch.float32)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([text])).logits[0].float() for text in texts(asked, written)]
    return Written(written, choices(logits, asked))


def completions(model: nn.Module, asked: Asked, dtype: torch.dtype) -> list[list[int]]:
    """The run's own, by the engine that training samples with."""
    stops = stop_tokens(model, asked.tokenizer)  # pyright: ignore[reportArgumentType]
    sampler = NativeSampler(model, stops=stops, batch=64, dtype=dtype)
    groups = sampler.sample(asked.prompts, 1, Sampling(asked.max_new_tokens, temperature=0.0), seed=0)
    return [rollout.tokens_T.tolist() for [rollout] in groups]


def texts(asked: Asked, written: list[list[int]]) -> list[list[int]]:
    return [prompt + completion for prompt, completion in zip(asked.prompts, written, strict=True)]


def choices(logits: list[Tensor], asked: Asked) -> list[Tensor]:
    """Of each text's logits those before the tokens of its completion."""
    return [one[len(prompt) - 1 : -1].clone() for one, prompt in zip(logits, asked.prompts, strict=True)]


def elsewhere(source: Source, is_merged: bool, dtype: str, own: Written, asked: Asked) -> Written:
    """Exports, and has the folder loaded and asked by a process without rltk."""
    with TemporaryDirectory() as scratch:
        folder, request, answer = (Path(scratch) / name for name in ("export", "request.json", "answer.pt"))
        make(source, folder, is_merged=is_merged, dtype=dtype)
        wanted = {"prompts": asked.prompts, "texts": texts(asked, own.completions)}
        request.write_text(json.dumps({**wanted, "max_new_tokens": asked.max_new_tokens}))
        command = [sys.executable, str(Path(export_reader.__file__)), str(folder), str(request), str(answer)]
        subprocess.run(command, check=True)
        found = torch.load(answer, weights_only=True)
    assert not any(name.startswith(("rltk", "trl")) for name in found["modules"])
    return Written(found["completions"], choices(found["logits"], asked))


def compared(name: str, own: Written, found: Written, asked: Asked) -> dict[str, Any]:
    others = [i for i, one in enumerate(own.completions) if one != found.completions[i]]
    row: dict[str, Any] = {
        "equal": len(own.completions) - len(others),
        "of": len(own.completions),
        "largest_logit_difference": largest_difference(own.logits, found.logits),
        "correct": correct(found.completions, asked),
        "others": [parting(asked.problems[i].id, own, found, i) for i in others],
    }
    print(
        f"{name}: {row['equal']} of {row['of']} alike, logits {row['largest_logit_difference']:.3g} apart", flush=True
    )
    return row


def parting(problem: str, own: Written, found: Written, index: int) -> dict[str, Any]:
    """Where the two part, by how much the run preferred its token to the next best, and how far logits are apart."""
    both = zip(own.completions[index], found.completions[index], strict=False)
    token = next(at for at, (one, other) in enumerate(both) if one != other)
    apart = float((own.logits[index][token] - found.logits[index][token]).abs().max())
    return {"problem": problem, "token": token, "margin": margin(own, index, token), "largest_logit_difference": apart}


def margin(own: Written, index: int, token: int) -> float:
    best = own.logits[index][token].topk(2).values
    return float(best[0] - best[1])


def correct(written: list[list[int]], asked: Asked) -> int:
    read = [str(asked.tokenizer.decode(tokens, skip_special_tokens=True)) for tokens in written]
    return sum(grade.correct for grade in grade_all(read, [problem.answer for problem in asked.problems]))


def result(
    args: Namespace,
    source: Source,
    asked: Asked,
    own: Written,
    rounded: list[list[int]],
    found: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    lengths = [len(completion) for completion in own.completions]
    margins = [margin(own, i, t) for i, length in enumerate(lengths) for t in range(length)]
    return {
        "settings": {
            "problems": args.problems,
            "data": source.recipe.data.path,
            "max_new_tokens": asked.max_new_tokens,
        },
        "run": {
            "recipe": source.recipe.name,
            "recipe_hash": source.manifest["recipe_hash"],
            "commit": source.manifest["commit"],
            "steps": source.recipe.optim.steps,
            "tokens": spread(lengths),
            "unfinished": sum(length == asked.max_new_tokens for length in lengths),
            "distinct": len({tuple(completion) for completion in own.completions}),
            "correct": correct(own.completions, asked),
            "largest_logit": max(float(logits.abs().max()) for logits in own.logits),
            "smallest_margin": min(margins),
            "equal_in_bfloat16_autocast": sum(a == b for a, b in zip(own.completions, rounded, strict=True)),
        },
        "exports": found,
    }


if __name__ == "__main__":
    main()
