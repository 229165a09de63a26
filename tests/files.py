"""Files as tests give them to commands."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recipe(path: Path, base: dict[str, Any], sections: dict[str, Any]) -> Path:
    """`base` with `sections` laid over it key by key, but for `tune`, which is replaced."""
    laid = dict(base)
    for name, value in sections.items():
        is_overlay = isinstance(value, dict) and name != "tune"
        laid[name] = {**base.get(name, {}), **value} if is_overlay else value
    path.write_text(yaml.safe_dump(laid, sort_keys=False), encoding="utf-8")
    return path
