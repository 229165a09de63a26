"""Where an export goes: a new folder, whole or not there at all, and one sentence where it cannot be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rltk.errors import UserError
from rltk.recipe.locate import expanded
from rltk.run.atomic import new_folder
from rltk.run.lock import make_folders, remove_empty
from rltk.run.room import full


def new_place(name: str, run: Path) -> Path:
    """The folder that is to be made; refused before anything slow happens."""
    out = expanded(name).absolute()
    if os.path.lexists(out):
        raise UserError(f"{name} exists already; name a new folder, or remove it first.")
    if out.resolve().is_relative_to(run.resolve()):
        raise UserError(f"{name} lies within the run, whose files are its own; name a folder elsewhere.")
    above = next(folder for folder in out.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UserError(f"{name} cannot be made: {above} is not a folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{name} cannot be made: {above} may not be written to.")
    return out


@contextmanager
def writing(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` at the end of the block; after a failure nothing is left of it."""
    made = make_folders(out.parent)
    try:
        with new_folder(out) as beside:
            yield beside
    except (OSError, SafetensorError) as error:  # the latter wraps what the system said
        what = full(error, out) or f"{first_line(error)}; name another folder"
        raise UserError(f"{out} could not be written: {what}, then export again.") from error
    finally:
        remove_empty(made)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
