"""What is exported: a run, the recipe and results that its model card states, and what kind of model it left."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.evaluation.target import refuse_unsafe_adapter
from rltk.recipe.locate import embedded_folder, expanded, near_file
from rltk.recipe.resolved import recipe_from_resolved
from rltk.recipe.schema import Recipe
from rltk.run.folder import read_manifest, read_object, resume_command

ADAPTER_CONFIG = "adapter_config.json"
CLASSIFIER = "SEQ_CLS"
"""PEFT's task type of reward models: their score head is trained and saved whole."""


class Source(NamedTuple):
    run: Path
    manifest: dict[str, Any]
    recipe: Recipe
    scores: dict[str, Any]
    adapter: dict[str, Any] | None
    """adapter_config.json; None where every weight trained."""
    config: dict[str, Any] | None
    """config.json; None for adapters."""

    @property
    def saved(self) -> Path:
        return self.run / "model"

    @property
    def is_reward_model(self) -> bool:
        if self.adapter is not None:
            return self.adapter.get("task_type") == CLASSIFIER
        assert self.config is not None
        return any("SequenceClassification" in name for name in self.config.get("architectures") or [])

    @property
    def base(self) -> str:
        """Where everyone finds the model that was trained: its hub id, or a whole path on this machine."""
        return base_location(self.recipe.model.path)


def find_source(name: str) -> Source:
    run = expanded(name)
    if not os.path.exists(run):
        raise UserError(f"{name} does not exist{near_file(run)}")
    manifest = read_manifest(run)
    saved = run / "model"
    if not saved.is_dir():
        raise UserError(f"{name} has no model yet; finish it with: {resume_command(run)}")
    recipe = recipe_from_resolved(manifest["recipe"], str(run / "manifest.json"))
    adapter, config = (read_object(saved / file) or None for file in (ADAPTER_CONFIG, "config.json"))
    if adapter is None and config is None:
        raise UserError(f"{saved} holds neither {ADAPTER_CONFIG} nor config.json; train the run anew.")
    if adapter is not None:
        refuse_unsafe_adapter(saved, adapter)
    scores = read_object(run / "scores.json")
    return Source(run, manifest, recipe, scores, adapter, None if adapter is not None else config)


def base_location(path: str) -> str:
    if (embedded := embedded_folder(path)) is not None:
        return str(embedded)
    local = expanded(path)
    return str(local.resolve()) if os.path.isdir(local) else path
