"""One process at a time works in a run folder, and one that is refused leaves no trace of it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rltk.errors import UserError

LOCK = ".lock"


def is_taken(path: Path) -> bool:
    """Whether anything is there but the lock of a process that was killed before it began."""
    return path.exists() and (not path.is_dir() or any(entry.name != LOCK for entry in path.iterdir()))


def is_locked(path: Path) -> bool:
    """Whether a process is at work in the folder."""
    try:
        file = (path / LOCK).open("r")
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def locked(path: Path, *, is_new: bool) -> Iterator[None]:
    """The folder is this process's alone within; the lock goes with the process, however it ends."""
    made = make_folders(path)
    try:
        with open_lock(path):
            if is_new and is_taken(path):
                raise UserError(f"another process has begun a run in {path} meanwhile; start again.")
            try:
                yield
            finally:
                if not is_taken(path):
                    (path / LOCK).unlink()
    finally:
        remove_empty(made)


def open_lock(path: Path) -> TextIO:
    file = take_lock(path)
    while not is_at(file, path / LOCK):  # who had it has removed it since it was opened here, and it keeps nobody out
        file.close()
        file = take_lock(path)
    with suppress(OSError):  # on a full disk: the lock holds without saying whose it is
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return file


def take_lock(path: Path) -> TextIO:
    try:
        file = (path / LOCK).open("a")
    except OSError as error:
        raise UserError(f"{path} cannot be written to: {error.strerror}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise UserError(f"another process is working in {path}; wait for it, or stop it first.") from error
    return file


def is_at(file: TextIO, path: Path) -> bool:
    """Whether the open file is the one that others find there."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def make_folders(path: Path) -> list[Path]:
    """Makes the folder, and says which were not there before, the innermost first."""
    absent = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {path} cannot be made: {error.strerror}.") from error
    return absent


def remove_empty(folders: list[Path]) -> None:
    """Removes these folders from the innermost on, as far as there is nothing in them."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # another process may have put something there at this very moment
            return
