"""What is evaluated: a run, an adapter folder, a model folder or a hub model, told apart by the files in it."""

import json
import os
from pathlib import Path
from shlex import quote
from typing import Any, Literal, NamedTuple

from rltk_reward_models.base_file import read_base

from rltk.errors import UserError, suggestion
from rltk.evaluation.adapter_values import refuse_odd_values
from rltk.recipe.arithmetic import dtype_here
from rltk.recipe.locate import EMBEDDED_MODELS, embedded_name, near_file
from rltk.recipe.paths import looks_local
from rltk.recipe.schema import EMBEDDED, Data, Eval, Model, RewardModel, Rollout
from rltk.recipe.sections.rollout import OF_VLLM
from rltk.run.folder import read_object, resume_command, run_recipe

CLASSIFIER = "ForSequenceClassification"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


class Target(NamedTuple):
    """The model, and how its recipe, where it has one, asks and samples."""

    model: Model
    adapter: Path | None
    data: Data | None
    rollout: Rollout
    eval: Eval
    seed: int


def find_target(name: str) -> Target:
    path = Path(os.path.expanduser(name))
    if is_classifier(path / "model" if os.path.exists(path / "manifest.json") else path):
        raise UserError(
            f"{name} is a reward model, which writes nothing; name a policy, or serve its scores with: "
            f"rltk serve-reward {quote(name)}"
        )
    if os.path.exists(path / "manifest.json"):
        return run_target(path)
    if os.path.exists(path / "adapter_config.json"):
        return Target(adapter_base(path), path, None, Rollout(), Eval(), 0)
    if os.path.exists(path / "config.json") or name in EMBEDDED_MODELS:
        return Target(Model(path=name, dtype=dtype_here()), None, None, Rollout(), Eval(), 0)
    if os.path.exists(path):
        raise UserError(
            f"{name} is neither a run (manifest.json), an adapter (adapter_config.json), a model (config.json) nor an "
            "earlier evaluation (settings.json, or a file of its items)."
        )
    if name.startswith(EMBEDDED):
        raise UserError(f"{name} does not come with rltk; {suggestion(name, EMBEDDED_MODELS, otherwise='choose')}")
    if looks_local(name):
        raise UserError(f"{name} does not exist{near_file(path)}")
    return Target(Model(path=name, dtype=dtype_here()), None, None, Rollout(), Eval(), 0)


def run_target(path: Path) -> Target:
    """The policy a run ended with. Its model folder appears when training is done."""
    recipe, saved = run_recipe(path), path / "model"
    if isinstance(recipe.algo, RewardModel):
        raise UserError(f"{path} trained a reward model, which writes nothing; name the run or the model of a policy.")
    if not saved.exists():
        raise UserError(f"{path} has no model yet; finish it with: {resume_command(path)}")
    is_adapter = (saved / "adapter_config.json").exists()
    if is_adapter:
        refuse_unsafe_adapter(saved, read_adapter_config(saved))
    model = recipe.model if is_adapter else recipe.model.model_copy(update={"path": str(saved), "revision": None})
    return Target(model, saved if is_adapter else None, recipe.data, here(recipe.rollout), recipe.eval, recipe.seed)


def is_classifier(path: Path) -> bool:
    """Whether the folder holds a reward model, whole or as an adapter."""
    adapter, config = (read_object(path / name) for name in ("adapter_config.json", "config.json"))
    if adapter:
        return adapter.get("task_type") == "SEQ_CLS"
    return any(str(name).endswith(CLASSIFIER) for name in config.get("architectures") or ())


def here(rollout: Rollout) -> Rollout:
    """Sampling in this process: the servers that a run was trained with may be gone."""
    if rollout.engine != "vllm":
        return rollout
    of_servers = {key: Rollout.model_fields[key].default for key in ("engine", *OF_VLLM)}
    return rollout.model_copy(update=of_servers)


def adapter_base(path: Path) -> Model:
    """The model that an adapter belongs to, by what PEFT wrote beside its weights."""
    file, config = path / "adapter_config.json", read_adapter_config(path)
    base = config.get("base_model_name_or_path")
    if not base:
        raise UserError(f"{file} names no base_model_name_or_path.")
    refuse_unsafe_adapter(path, config)
    return Model(
        path=embedded_name(base) or base,
        revision=config.get("revision"),
        dtype=dtype_here(),
        quantize=recorded_quantization(path),
    )


def recorded_quantization(path: Path) -> Literal["nf4"] | None:
    """What the adapter's base was held in as it trained."""
    try:
        return read_base(path).quantize
    except ValueError as error:
        raise UserError(f"{error}.") from error


def refuse_unsafe_adapter(path: Path, config: dict[str, Any]) -> None:
    """Where loading it could run code: PEFT would read pickles, and import a module that the configuration names."""
    if not (path / ADAPTER_WEIGHTS).exists():
        raise UserError(f"{path} holds no {ADAPTER_WEIGHTS}.")
    if config.get("megatron_config"):
        raise UserError(f"{path / 'adapter_config.json'} has a megatron_config, which rltk does not read; remove it.")


def read_adapter_config(path: Path) -> dict[str, Any]:
    """What PEFT wrote beside an adapter's weights."""
    file = path / "adapter_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}).") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is damaged (it holds no object).")
    refuse_odd_values(file, config)
    return config
