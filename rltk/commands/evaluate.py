"""`rltk eval`: the accuracy of a run, an adapter folder, a model folder or a hub model."""

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rltk.data.prompt import PromptRenderer, render_all
from rltk.data.tasks import Task, load_tasks
from rltk.errors import UserError, suggestion
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
from rltk.models.quiet import quiet_libraries
from rltk.recipe.locate import near_file
from rltk.recipe.paths import LOCAL_STARTS
from rltk.recipe.schema import EMBEDDED, EMBEDDED_MODELS, Data, Eval, Model, Rollout
from rltk.rollout.describe import describe
from rltk.rollout.engines import choose_engine, make_sampler
from rltk.rollout.evaluate import Evaluator
from rltk.run.atomic import without_nan, write_json, write_jsonl
from rltk.run.folder import resume_command, run_recipe
from rltk.run.progress import Watch

ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Target(NamedTuple):
    """What is evaluated, and how its recipe, where it has one, asks and samples."""

    model: Model
    adapter: Path | None
    data: Data | None
    rollout: Rollout
    eval: Eval
    seed: int


def evaluate(args: Namespace) -> int:
    quiet_libraries()
    out = Path(args.out) if args.out else None
    if out is not None:
        refuse_out(out)
    target = with_options(find_target(args.target), args)
    tokenizer = load_tokenizer(target.model)
    tasks = load_tasks(target.eval.tasks, target.data, split=target.eval.split, limit=target.eval.limit)
    refuse_long(target, tokenizer, tasks)
    evaluator = make_evaluator(target, tokenizer)
    with Watch(steps=0, is_quiet=args.json) as watch:
        scores = {task.name: score(evaluator, target, task, watch, out) for task in tasks}
    if out is not None:
        write_json(out / "scores.json", scores)
    if args.json:
        print(json.dumps(without_nan({"target": args.target, "scores": scores})))
    else:
        for name, task_score in scores.items():
            print(f"{name}: {describe(task_score)}")
    return 0


def refuse_out(out: Path) -> None:
    """Refuses a folder that cannot take the results, before there are any."""
    if os.path.exists(out / "scores.json"):
        raise UserError(f"--out {out}: it holds scores already; name another folder.")
    deepest = next(path for path in (out, *out.parents) if os.path.exists(path))
    if not (os.path.isdir(deepest) and os.access(deepest, os.W_OK)):
        raise UserError(f"--out {out}: no folder can be made there; name another.")


def refuse_long(target: Target, tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task]) -> None:
    """Every prompt is measured before any weights load."""
    context = context_length(load_config(target.model))
    for task in tasks:
        renderer = PromptRenderer(tokenizer, task.data)
        render_all(renderer, task.problems, max_new_tokens=target.rollout.max_new_tokens, context=context)


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
    return evaluation.score


def find_target(name: str) -> Target:
    path = Path(os.path.expanduser(name))
    if os.path.exists(path / "manifest.json"):
        return run_target(path)
    if os.path.exists(path / "adapter_config.json"):
        return Target(adapter_base(path), path, None, Rollout(), Eval(), 0)
    if os.path.exists(path / "config.json") or name in EMBEDDED_MODELS:
        return Target(Model(path=name), None, None, Rollout(), Eval(), 0)
    if os.path.exists(path):
        raise UserError(
            f"{name} is neither a run (manifest.json), an adapter (adapter_config.json) nor a model (config.json)."
        )
    if name.startswith(EMBEDDED):
        raise UserError(f"{name} does not come with rltk; {suggestion(name, EMBEDDED_MODELS, otherwise='choose')}")
    if name.startswith(LOCAL_STARTS) or name.count("/") > 1:
        raise UserError(f"{name} does not exist{near_file(path)}")
    return Target(Model(path=name), None, None, Rollout(), Eval(), 0)


def run_target(path: Path) -> Target:
    """The policy a run ended with. Its model folder appears when training is done."""
    recipe, saved = run_recipe(path), path / "model"
    if not saved.exists():
        raise UserError(f"{path} has no model yet; finish it with: {resume_command(path)}")
    is_adapter = (saved / "adapter_config.json").exists()
    model = recipe.model if is_adapter else recipe.model.model_copy(update={"path": str(saved), "revision": None})
    return Target(model, saved if is_adapter else None, recipe.data, recipe.rollout, recipe.eval, recipe.seed)


def adapter_base(path: Path) -> Model:
    """The model that an adapter belongs to, by what PEFT wrote beside its weights."""
    file = path / "adapter_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}).") from error
    base = config.get("base_model_name_or_path")
    if not base:
        raise UserError(f"{file} names no base_model_name_or_path.")
    if not (path / ADAPTER_WEIGHTS).exists():  # pickles, which PEFT would read too, can run code
        raise UserError(f"{path} holds no {ADAPTER_WEIGHTS}.")
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
    stops, engine = stop_tokens(base, tokenizer), choose_engine(target.rollout.engine, base)
    context = context_length(load_config(target.model))
    model: nn.Module = base if target.adapter is None else with_adapter(base, target.adapter)
    dtype = compute_dtype(target.model)
    if dtype == torch.bfloat16:
        shrink_frozen(model.requires_grad_(False))
    sampler = make_sampler(
        engine, model, stops=stops, pad=pad_token(tokenizer, stops), batch=target.eval.batch, dtype=dtype
    )
    return Evaluator(
        sampler, tokenizer, max_new_tokens=target.rollout.max_new_tokens, context=context, batch=target.eval.batch
    )


def with_adapter(base: PreTrainedModel, path: Path) -> PeftModel:
    try:
        return PeftModel.from_pretrained(base, str(path))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise UserError(f"the adapter in {path} could not be loaded ({first_line}).") from error
