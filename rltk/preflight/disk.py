"""Whether the disk has room for what a run leaves: checkpoints, the model, and one more while it is written."""

import shutil
from pathlib import Path

from rltk.plan.count import trainable_parameters
from rltk.plan.shape import Shape
from rltk.preflight.found import Found
from rltk.recipe.locate import expanded
from rltk.recipe.schema import Recipe

FLOAT = 4


def bytes_of_run(recipe: Recipe, shape: Shape) -> int:
    """Checkpoints hold trained weights and Adam's moments in float32; a new one is whole before an old one goes."""
    trained = FLOAT * trainable_parameters(shape, recipe.tune)
    written = -(-recipe.optim.steps // recipe.run.checkpoint_every)
    return 3 * trained * min(recipe.run.keep + 1, written) + trained


def check_disk(recipe: Recipe, shape: Shape, folder: Path | None = None) -> Found:
    needed, place = bytes_of_run(recipe, shape), nearest_folder(folder or expanded(recipe.run.dir))
    free = shutil.disk_usage(place).free
    said = f"checkpoints and model take up to {in_words(needed)}, and the disk of {place} has {in_words(free)} free"
    if needed <= free:
        return Found("note", said, kind="disk")
    return Found("error", f"{said}; make room, lower run.keep (now {recipe.run.keep}), or set run.dir", kind="disk")


def nearest_folder(path: Path) -> Path:
    """The path itself, or what is there of it."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def in_words(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
