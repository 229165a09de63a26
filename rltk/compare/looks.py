"""How often the verdict was asked for and with how many seeds: looks.json, one number of confirmation seeds a look."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

from rltk.errors import UserError
from rltk.recipe.resolved import digest
from rltk.run.atomic import write_json

LOOKS = "looks.json"


def write_looks(path: Path, seeds: list[int], chain: str | None) -> None:
    """With a hash over them and the margin that they belong to, which is `chain`; see `read_looks` for None."""
    write_json(path / LOOKS, seeds if chain is None else {"seeds": seeds, "hash": digest([chain, seeds])})


def read_looks(path: Path, chain: str | None) -> list[int]:
    """Refused where the file is damaged, or was edited: looks that were taken are not given back.

    `chain` is None in comparisons of an earlier version, which left a bare list.
    """
    file = path / LOOKS
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); it says how many seeds the verdict rests on.") from error
    seeds, hash = (values.get("seeds"), values.get("hash")) if isinstance(values, dict) else (values, None)
    if not are_looks(seeds):
        raise UserError(f"{file} is damaged (it holds no growing numbers of seeds, such as [6, 8]); put it back.")
    if chain is not None and hash != digest([chain, seeds]):
        raise UserError(
            f"{file} has been edited, or is that of another margin; put it back as it was: looks that were taken "
            "are not given back."
        )
    return seeds


def are_looks(seeds: Any) -> TypeGuard[list[int]]:
    if not isinstance(seeds, list) or not all(type(count) is int and count > 0 for count in seeds):
        return False
    return len(seeds) > 0 and all(one < other for one, other in pairwise(seeds))
