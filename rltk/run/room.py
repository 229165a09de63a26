"""A disk that takes no more: what the system says then, and the sentence that a run ends with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from rltk.errors import UserError
from rltk.run.folder import resume_command

FULL = {
    "No space left on device": "the disk of {path} is full; make room",
    "Disk quota exceeded": "the disk quota of {path} is used up; make room",
    "File too large": "a file in {path} would be larger than ulimit -f or its file system allows; raise that limit",
}
"""By what the system says, which libraries wrap in errors of their own."""


@contextmanager
def needing_room(run: Path) -> Iterator[None]:
    """Within it a full disk is a UserError that says how the run goes on."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        said = full(error, run)
        if said is None:
            raise
        has_begun = (run / "manifest.json").exists()
        then = f"go on with: {resume_command(run)}" if has_begun else "start again."
        raise UserError(f"{said}, then {then}") from error


def full(error: Exception, path: Path) -> str | None:
    """That there is no room for what is written to `path`, if the error says so."""
    return next((said.format(path=path) for reason, said in FULL.items() if reason in str(error)), None)
