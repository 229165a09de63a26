"""A reward model by name: a run that trained one, a folder of one, or a folder of an adapter of one."""

from pathlib import Path
from typing import NamedTuple

from rltk.data.transcripts import Plain
from rltk.errors import UserError
from rltk.evaluation.target import is_classifier, read_adapter_config
from rltk.recipe.locate import embedded_folder, embedded_name, expanded
from rltk.recipe.schema import Recipe
from rltk.run.folder import read_manifest, resume_command, run_recipe


class RewardTarget(NamedTuple):
    folder: Path
    """What `rltk_reward_models.scorer.Scorer.load` reads."""
    base: str | None
    """Where the base of an adapter lies, if not where the adapter says."""
    recipe: Recipe | None
    """Of the run that trained it."""

    @property
    def trusts_remote_code(self) -> bool:
        """Whether the recipe of its run lets the model's own code run."""
        return self.recipe is not None and self.recipe.model.trust_remote_code

    @property
    def sampled(self) -> Path:
        """Where a run on problems keeps its held-out pairs."""
        return self.folder.parent / "heldout" / "pairs.jsonl"

    @property
    def plain(self) -> Plain:
        """How text is written for a model without a chat template: as what it was trained on was."""
        is_of_problems = self.recipe is not None and self.recipe.data.has_answers
        return "question" if is_of_problems else "transcript"


def is_reward_model(name: str) -> bool:
    """Whether `rltk eval` should score pairs with it; a folder that is damaged is not, and is refused elsewhere."""
    path = expanded(name)
    if (path / "manifest.json").is_file():
        return is_reward_run(path)
    return is_classifier(path)


def is_reward_run(path: Path) -> bool:
    return read_manifest(path)["recipe"].get("algo", {}).get("type") == "reward_model"


def find_reward_model(name: str) -> RewardTarget:
    """UserError where there is none; whether its weights are whole is seen as they load."""
    path, recipe = expanded(name), None
    if (path / "manifest.json").is_file():
        if not is_reward_run(path):
            raise UserError(f"{name} trained a policy; name the run or the folder of a reward model.")
        recipe, path = run_recipe(path), path / "model"
        if not path.exists():
            raise UserError(f"{name} has no model yet; finish it with: {resume_command(expanded(name))}")
    if not is_classifier(path):
        raise UserError(
            f"{name} is no reward model: give the folder of a run that trained one, of a model for sequence "
            "classification, or of an adapter with the task type SEQ_CLS."
        )
    return RewardTarget(path, embedded_base(path), recipe)


def embedded_base(path: Path) -> str | None:
    """A model that comes with rltk where an adapter stands on one; None leaves it to what the folder says."""
    if not (path / "adapter_config.json").exists():
        return None
    name = embedded_name(read_adapter_config(path).get("base_model_name_or_path") or "")
    return None if name is None else str(embedded_folder(name))
