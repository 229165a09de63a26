"""What a page is made from: the files of a run folder, or of a comparison's, read and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.run.folder import read_jsonl, read_manifest, read_metrics, read_object

Row = dict[str, Any]
WHEN = ("before", "after")
COMPARISON, COSTS, PLAN = "comparison.json", "costs.json", "plan.json"


class Run(NamedTuple):
    path: Path
    manifest: Row
    metrics: list[Row]
    scores: Row
    items: dict[str, dict[str, list[Row]]]
    """Rows by task, then by `before` and `after`."""

    @property
    def name(self) -> str:
        return f"{self.manifest.get('name', self.path.parent.name)}/{self.manifest.get('id', self.path.name)}"


class Comparison(NamedTuple):
    path: Path
    found: Row
    costs: Row
    """By arm; empty where there is no such file."""
    plan: Row
    """What it was begun with; empty where there is no such file."""


def read_run(path: Path, *, with_items: bool = True) -> Run:
    """The run in a folder, whatever became of it; UserError where it is none or a file is damaged."""
    manifest = read_manifest(path)
    items = read_items(path / "items") if with_items else {}
    return Run(path, manifest, read_metrics(path), read_object(path / "scores.json"), items)


def is_comparison(path: Path) -> bool:
    return (path / COMPARISON).is_file()


def read_comparison(path: Path) -> Comparison:
    found = read_object(path / COMPARISON)
    absent = [key for key in ("sentence", "reference", "margin", "arms", "verdicts") if key not in found]
    if absent:
        raise UserError(f"{path / COMPARISON} is no comparison of arms: it has no {absent[0]}.")
    return Comparison(path, found, read_object(path / COSTS), read_object(path / PLAN))


def read_items(folder: Path) -> dict[str, dict[str, list[Row]]]:
    found: dict[str, dict[str, list[Row]]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        when, _, task = file.stem.partition("-")
        if when in WHEN:
            found.setdefault(task, {})[when] = read_jsonl(file)
    return found
