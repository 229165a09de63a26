"""What decides the numbers of an evaluation, as JSON: it is kept beside them, and a resume must match it.

The batch is not among it: it changes the order of work and nothing else. Neither is `k`, which is counted afterwards.
"""

import hashlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import rltk
from rltk.data.problems import fingerprint
from rltk.data.tasks import Task
from rltk.evaluation.target import Target
from rltk.recipe.accelerator import is_accelerator_visible
from rltk.recipe.locate import embedded_folder, expanded
from rltk.recipe.schema import Model

Settings = dict[str, Any]
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja")
PACKAGES = ("torch", "transformers", "peft")
STREAMS = ("seed", "samples", "temperature", "max_new_tokens")
"""What two evaluations that are compared must have in common, beside their items."""


def settings_of(target: Target, tasks: Sequence[Task]) -> Settings:
    tasked = {"split": target.eval.split, "tasks": {task.name: task_settings(task) for task in tasks}}
    return policy_settings(target) | tasked | made_with()


def policy_settings(target: Target) -> Settings:
    """What a policy is and how it samples."""
    return {
        "model": model_settings(target.model),
        "adapter": None if target.adapter is None else str(target.adapter),
        "weights": files_hash(target),
        "engine": target.rollout.engine,
        "max_new_tokens": target.rollout.max_new_tokens,
        "samples": target.eval.samples,
        "temperature": target.eval.temperature,
        "seed": target.seed,
    }


def model_settings(model: Model) -> Settings:
    always = model.model_dump(include={"path", "revision", "dtype", "trust_remote_code"})
    return always if model.quantize is None else always | {"quantize": model.quantize}


def made_with() -> Settings:
    return {
        "device": "gpu" if is_accelerator_visible() else "cpu",
        "versions": {"rltk": rltk.__version__} | {package: metadata.version(package) for package in PACKAGES},
    }


def task_settings(task: Task) -> Settings:
    read = task.data.model_dump(mode="json", include={"path", "config", "question", "answer", "kind"})
    return read | {
        "problems": len(task.problems),
        "hash": fingerprint(task.problems),
        "prompt": task.prompt.to_json(),
    }


def files_hash(target: Target) -> str | None:
    """Of name, size and time of the files of a local model and adapter; None for a hub id, which `revision` pins."""
    model = embedded_folder(target.model.path) or expanded(target.model.path)
    return folders_hash([folder for folder in (model, target.adapter) if folder is not None and folder.is_dir()])


def folders_hash(folders: Sequence[Path]) -> str | None:
    if not folders:
        return None
    digest = hashlib.blake2b(digest_size=8)
    for file in (file for folder in folders for file in model_files(folder)):
        seen = file.stat()
        digest.update(repr((file.name, seen.st_size, seen.st_mtime_ns)).encode())
    return digest.hexdigest()


def model_files(folder: Path) -> list[Path]:
    return sorted(file for pattern in MODEL_FILES for file in folder.glob(pattern))


def differences(before: Settings, now: Settings) -> list[str]:
    """`max_new_tokens was 96 and is 64`, for every setting that differs."""
    old, new = dict(flat(before)), dict(flat(now))
    return [f"{key} was {old.get(key)} and is {new.get(key)}" for key in old | new if old.get(key) != new.get(key)]


def flat(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
