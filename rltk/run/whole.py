"""Whether a folder still holds what was written into it: the list of its files, with size and SHA-256 of each."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from rltk.run.atomic import write_json

LIST = "files.json"
"""In the folder itself; a flipped byte in it is found as well, since it then tells of other files."""
BLOCK = 2**20


class Size(NamedTuple):
    bytes: int
    sha256: str


def seal(folder: Path) -> None:
    """Writes the list; to be called when all else is there."""
    write_json(folder / LIST, {name: size._asdict() for name, size in sizes(folder).items()})


def damage(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in words; None where every byte is as it was written."""
    try:
        listed = {name: Size(**size) for name, size in json.loads((folder / LIST).read_bytes()).items()}
        found = sizes(folder)
    except FileNotFoundError:
        return f"{LIST} is missing"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return f"{LIST} or what it names cannot be read ({error})"
    for name, size in listed.items():
        if name not in found:
            return f"{name} is missing"
        if found[name].bytes != size.bytes:
            return f"{name} has {found[name].bytes:,} bytes instead of {size.bytes:,}"
        if found[name].sha256 != size.sha256:
            return f"{name} is not what was written"
    strange = sorted(found.keys() - listed.keys())
    return f"{strange[0]} is not in {LIST}" if strange else None


def sizes(folder: Path) -> dict[str, Size]:
    """Of every file but the list, by its path in the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / LIST]
    return {path.relative_to(folder).as_posix(): Size(path.stat().st_size, sha256(path)) for path in files}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
