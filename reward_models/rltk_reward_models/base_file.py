"""base.json in an adapter's folder: which weights the adapter was trained beside. Read and written without torch."""

import json
import os
from pathlib import Path
from typing import Literal, NamedTuple

BASE_FILE = "base.json"
NF4: Literal["nf4"] = "nf4"
KINDS = (None, NF4)


class Base(NamedTuple):
    fingerprint: str | None
    """Of `fingerprint.base_fingerprint`; None where it was not recorded."""
    quantize: Literal["nf4"] | None
    """What the base was held in; None where that was its numbers, or is not known."""


def write_base(folder: Path, base: Base) -> None:
    """The same base gives the same bytes."""
    beside = folder / f".{BASE_FILE}.writing"
    found = {"sha256_of_bfloat16_sample": base.fingerprint}
    if base.quantize is not None:
        found["quantize"] = base.quantize
    beside.write_text(json.dumps(found) + "\n", encoding="utf-8")
    os.replace(beside, folder / BASE_FILE)


def read_base(folder: Path) -> Base:
    """What `write_base` left, nothing where it did not; ValueError where the file is damaged."""
    file = folder / BASE_FILE
    if not file.is_file():
        return Base(None, None)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        kind = found.get("quantize")
        if kind not in KINDS:
            raise ValueError(f"quantize is {kind!r:.40}")
        return Base(str(found["sha256_of_bfloat16_sample"]), kind)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}); save the adapter again") from error
