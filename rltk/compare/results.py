"""Results of findings: a JSON file each, written by who measured it, here or for publication."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from rltk.errors import UserError
from rltk.run.atomic import write_json

DEFAULT = Path("runs") / "findings"
"""Where a user's own results go."""
PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "results" / "findings"
"""Results that come with a checkout; an installed package has none."""
Origin = Literal["here", "published"]


def write_result(folder: Path, finding: str, result: dict[str, Any]) -> Path:
    path = folder / f"{finding}.json"
    write_json(path, {"finding": finding} | result)
    return path


def read_result(folder: Path, finding: str) -> dict[str, Any] | None:
    """None where it was not measured."""
    path = folder / f"{finding}.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); remove it and measure {finding} again.") from error
    if not isinstance(result, dict) or result.get("finding") != finding or "verdict" not in result:
        raise UserError(f"{path} is no result of {finding}; remove it and measure {finding} again.")
    return result
