"""Files that are either as they were or complete: written beside their place, then renamed into it."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SUFFIX = ".writing"


class Writer:
    """Of the processes that train together only the first writes; in the others what would be written is dropped."""

    is_here = True


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    if not Writer.is_here:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = place_beside(path)
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:  # half a file would take room where there is none
        beside.unlink(missing_ok=True)
        raise
    take_name(beside, path)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(without_nan(value), indent=2) + "\n")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(without_nan(row)) + "\n" for row in rows))


def append_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Adds lines, on the disk when it returns; after an error the file is as it was.

    A process that ends meanwhile leaves whole lines and at most one half, which `whole_lines` passes over.
    """
    if not Writer.is_here:
        return
    data = "".join(json.dumps(without_nan(row)) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:  # a buffer would be written once more when the file is closed
        before = os.fstat(file.fileno()).st_size
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(before)
            raise


def whole_lines(path: Path) -> list[bytes]:
    """Of a file that may end in half a line; none where there is no file."""
    try:
        *lines, _half = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return lines


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes its name only when the block ends without an error, and is removed otherwise."""
    if not Writer.is_here:
        with TemporaryDirectory() as dropped:
            yield Path(dropped)
        return
    beside = place_beside(path)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        settle(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    old = retired(path)
    take_name(beside, path)
    shutil.rmtree(old, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """It is whole under its name or not there at all, whenever this is killed."""
    shutil.rmtree(retired(path))


def retired(path: Path) -> Path:
    """Where the folder is now, if there was one: under a name of what is to be deleted."""
    old = place_beside(path.with_name(f"{path.name}.old"))
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    return old


def take_name(beside: Path, path: Path) -> None:
    """The rename too is on the disk when it returns."""
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def settle(folder: Path) -> None:
    """Everything in the folder is on the disk, and readable by whom the umask lets read."""
    mode = folder.stat().st_mode & 0o666
    for file in (path for path in folder.rglob("*") if path.is_file()):
        file.chmod(mode)  # safetensors writes files that only their owner can read, whatever the umask
        with file.open("rb") as written:
            os.fsync(written.fileno())


def remove_leftovers(folder: Path) -> None:
    """Deletes what a killed process had not finished writing."""
    for path in list(folder.rglob(f".*{SUFFIX}")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def place_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{SUFFIX}")


def without_nan(value: Any) -> Any:
    """JSON has no nan or infinity: an undefined number is written as null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [without_nan(item) for item in value]
        case _:
            return value
