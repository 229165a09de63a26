"""Where a resumed run goes on from: the newest checkpoint that is whole and that its metrics reach."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rltk.errors import UserError
from rltk.run.checkpoint import list_checkpoints, step_of
from rltk.run.folder import Metrics, RunFolder
from rltk.run.whole import damage

ASIDE = "damaged-"


class Damaged(NamedTuple):
    path: Path
    reason: str


class Found(NamedTuple):
    checkpoint: Path | None
    """None where a run ended before its first one."""
    damaged: list[Damaged]
    """Those that are newer, the newest first."""


def look_back(folder: RunFolder) -> Found:
    """Reads every byte of the checkpoints from the newest on, until one is whole; refused if none is."""
    damaged: list[Damaged] = []
    for path in reversed(list_checkpoints(folder.checkpoints)):
        reason = damage(path) or out_of_reach(path, folder.metrics)
        if reason is None:
            return Found(path, damaged)
        damaged.append(Damaged(path, reason))
    if damaged:
        path, reason = damaged[0]
        raise UserError(
            f"no checkpoint of {folder.path} is whole: of {path.name}, {reason}; "
            f"delete {folder.checkpoints} to begin again from the start."
        )
    return Found(None, [])


def out_of_reach(checkpoint: Path, metrics: Sequence[Metrics]) -> str | None:
    """Metrics of every step up to it are needed: some of later steps rest on them."""
    logged = next((index for index, row in enumerate(metrics) if row.get("step") != index + 1), len(metrics))
    return None if logged >= step_of(checkpoint) else f"metrics.jsonl has no step {logged + 1}"


def set_aside(damaged: Sequence[Damaged]) -> None:
    """Renames them, so that they are neither gone on from nor counted among those that are kept."""
    for path, _ in damaged:
        path.replace(free_name(path))


def free_name(path: Path) -> Path:
    name, count = f"{ASIDE}{path.name}", 2
    while path.with_name(name).exists():
        name, count = f"{ASIDE}{path.name}-{count}", count + 1
    return path.with_name(name)
