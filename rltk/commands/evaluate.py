"""`rltk eval`: the accuracy of a run, an adapter folder, a model folder or a hub model."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedTokenizerBase

from rltk.data.tasks import Task, load_task
from rltk.errors import UserError
from rltk.models.adapters import shrink_frozen
from rltk.models.load import (
    EMBEDDED_POLICY,
    compute_dtype,
    context_length,
    load_config,
    load_tokenizer,
    load_weights,
    pad_token,
    stop_tokens,
)
from rltk.recipe.schema import Data, Eval, Model, Rollout
from rltk.rollout.describe import describe
from rltk.rollout.engines import make_sampler
from rltk.rollout.evaluate import Evaluator
from rltk.run.atomic import without_nan, write_json, write_jsonl
from rltk.run.folder import run_recipe
from rltk.run.progress import Watch


class Target(NamedTuple):
    """What is evaluated, and how its recipe, where it has one, asks and samples."""

    model: Model
    adapter: Path | None
    data: Data | None
    rollout: Rollout
    eval: Eval
    seed: int


def evaluate(args: Namespace) -> int:
    target = with_options(find_target(args.target), args)
    tokenizer = load_tokenizer(target.model)
    tasks = [
        load_task(name, target.data, split=target.eval.split, limit=target.eval.limit) for name in target.eval.tasks
    ]
    out = Path(args.out) if args.out else None
    if out is not None and (out / "scores.json").exists():
        raise UserError(f"--out {out}: it holds scores already; name another folder.")
    evaluator = make_evaluator(target, tokenizer)
    with Watch(steps=0, is_quiet=args.json) as watch:
        scores = {task.name: score(evaluator, target, task, watch, out) for task in tasks}
    if out is not None:
        write_json(out / "scores.json", scores)
    if args.json:
        print(json.dumps(without_nan({"target": args.target, "scores": scores})))
    return 0


def score(evaluator: Evaluator, target: Target, task: Task, watch: Watch, out: Path | None) -> dict[str, Any]:
    evaluation = evaluator.evaluate(
        task,
        samples=target.eval.samples,
        temperature=target.eval.temperature,
        seed=target.seed,
        report=lambda done, total: watch.evaluating(task.name, done, total),
    )
    if out is not None:
        write_jsonl(out / "items" / f"{task.name}.jsonl", evaluation.rows)
    watch.say(f"{task.name}: {describe(evaluation.score)}")
    return evaluation.score


def find_target(name: str) -> Target:
    path = Path(name).expanduser()
    if (path / "manifest.json").exists():
        return run_target(path)
    if (path / "adapter_config.json").exists():
        return Target(adapter_base(path), path, None, Rollout(), Eval(), 0)
    is_local = name.startswith((".", "/", "~")) or path.exists()
    if is_local and not (path / "config.json").exists():
        raise UserError(
            f"{name} is neither a run (manifest.json), an adapter (adapter_config.json) nor a model (config.json)."
        )
    return Target(Model(path=name), None, None, Rollout(), Eval(), 0)


def run_target(path: Path) -> Target:
    """The policy a run ended with. Its model folder appears when training is done."""
    recipe, saved = run_recipe(path), path / "model"
    if not saved.exists():
        raise UserError(f"{path} has no model yet; finish it with: rltk train {path} --resume")
    is_adapter = (saved / "adapter_config.json").exists()
    model = recipe.model if is_adapter else recipe.model.model_copy(update={"path": str(saved), "revision": None})
    return Target(model, saved if is_adapter else None, recipe.data, recipe.rollout, recipe.eval, recipe.seed)


def adapter_base(path: Path) -> Model:
    config = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
    base = config.get("base_model_name_or_path")
    if not base:
        raise UserError(f"{path / 'adapter_config.json'} names no base_model_name_or_path.")
    is_embedded = Path(base).parts[-3:] == EMBEDDED_POLICY.parts[-3:]  # wherever rltk was installed when it was saved
    return Model(path="embedded/policy" if is_embedded else base, revision=config.get("revision"))


def with_options(target: Target, args: Namespace) -> Target:
    """What the command line says goes before what the recipe says."""
    limit = {} if args.limit is None else {"limit": None if args.limit == "all" else args.limit}
    given = {
        "tasks": tuple(args.tasks) if args.tasks else None,
        "split": args.split,
        "samples": args.samples,
        "temperature": args.temperature,
        "batch": args.batch,
    }
    options = target.eval.model_copy(update={key: value for key, value in given.items() if value is not None} | limit)
    if target.data is None and "heldout" in options.tasks:
        raise UserError(f"{args.target} has no recipe that says what to evaluate on; add --task gsm8k, say.")
    rollout = target.rollout
    if args.max_new_tokens is not None:
        rollout = rollout.model_copy(update={"max_new_tokens": args.max_new_tokens})
    return target._replace(eval=options, rollout=rollout, seed=target.seed if args.seed is None else args.seed)


def make_evaluator(target: Target, tokenizer: PreTrainedTokenizerBase) -> Evaluator:
    base = load_weights(target.model, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    stops = stop_tokens(base, tokenizer)
    context = context_length(load_config(target.model))
    model: nn.Module = base if target.adapter is None else PeftModel.from_pretrained(base, str(target.adapter))
    dtype = compute_dtype(target.model)
    if dtype == torch.bfloat16:
        shrink_frozen(model.requires_grad_(False))
    sampler = make_sampler(
        target.rollout.engine, model, stops=stops, pad=pad_token(tokenizer, stops), batch=target.eval.batch, dtype=dtype
    )
    return Evaluator(
        sampler, tokenizer, max_new_tokens=target.rollout.max_new_tokens, context=context, batch=target.eval.batch
    )
