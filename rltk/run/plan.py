"""What a training session is about to do, decided before anything heavy is imported."""

from pathlib import Path
from typing import NamedTuple

from rltk.errors import UserError
from rltk.recipe.load import changed, load_recipe
from rltk.recipe.schema import Recipe
from rltk.run.folder import new_run_folder, read_manifest, refuse_finished, resume_command, run_recipe, run_to_resume


class Plan(NamedTuple):
    """What to train and where."""

    recipe: Recipe
    path: Path
    is_resuming: bool
    profile: str | None
    notes: tuple[str, ...]


def new_run(path_or_name: str, overrides: list[str], profile: str, run: str | None) -> Plan:
    """A run that starts now, in its own folder."""
    loaded = load_recipe(path_or_name, overrides, profile)
    place = new_run_folder(loaded.recipe, run)
    notes = loaded.notes
    if place.unfinished is not None:
        resume = resume_command(place.unfinished)
        notes += (f"an unfinished run of this recipe stays as it is; go on with it by: {resume}",)
    return Plan(loaded.recipe, place.path, False, loaded.profile, notes)


def resumed_recipe(path_or_name: str, overrides: list[str], profile: str, run: str | None) -> Plan:
    """The newest unfinished run of a recipe, or the one in `run`, which must be of that recipe."""
    loaded = load_recipe(path_or_name, overrides, profile)
    return Plan(loaded.recipe, run_to_resume(loaded.recipe, run), True, loaded.profile, loaded.notes)


def resumed_run(path: Path, overrides: list[str]) -> Plan:
    """A run folder, as it was started; on other processes where `overrides` say so."""
    manifest = read_manifest(path)
    others = [text for text in overrides if not text.startswith("hardware")]
    if others:
        raise UserError(f"{others[0]}: a resumed run keeps its recipe, but for hardware; start a new run to change it.")
    refuse_finished(path, manifest)
    recipe = changed(run_recipe(path), overrides) if overrides else run_recipe(path)
    return Plan(recipe, path, True, manifest.get("profile"), ())
