"""What the manifest says a run was made from and with, and the refusal to go on with a run whose data has changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

import torch

from rltk.errors import UserError
from rltk.recipe.resolved import recipe_hash, resolved
from rltk.run.folder import RunFolder
from rltk.run.plan import Plan
from rltk.run.provenance import commit, hardware, versions


class Source(NamedTuple):
    path: str
    hash: str


@dataclass(frozen=True)
class Read:
    """What a run has read before any weights load; a resumed run must read the same."""

    data: Source
    """What it trains on."""
    tasks: Mapping[str, Source]
    """What it is scored on, by name."""
    left_out: Mapping[str, str]
    """Rows that nothing is learned from, by id: the end of a sentence that says why."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the manifest should say of the data."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the user's own files that take part, by path. Unlike data they may change before a run goes on, since a
    mistake in one may be what ended it."""

    @property
    def task_hashes(self) -> dict[str, str]:
        return {name: task.hash for name, task in self.tasks.items()}


def refuse_other_data(read: Read, folder: RunFolder) -> None:
    """A resumed run has to train and be scored on what it began with."""
    manifest = folder.manifest()
    before = manifest.get("task_hashes", {})
    changed = [task.path for name, task in read.tasks.items() if task.hash != before.get(name)]
    if read.data.hash != manifest.get("data_hash"):
        changed.insert(0, read.data.path)
    if changed:
        raise UserError(f"{changed[0]} has changed since {folder.path} began; start a new run.")


def write_manifest(folder: RunFolder, plan: Plan, read: Read, *, lr: float, device: torch.device) -> None:
    """Says what the run is before anything slow happens, so that even a killed run can be resumed."""
    folder.update_manifest(
        name=plan.recipe.name,
        id=plan.path.name,
        status="running",
        started=now(),
        profile=plan.profile,
        recipe=resolved(plan.recipe),
        recipe_hash=recipe_hash(plan.recipe),
        seed=plan.recipe.seed,
        lr=lr,
        data_hash=read.data.hash,
        left_out=dict(read.left_out),
        task_hashes=read.task_hashes,
        **read.more,
        **made_with(read, device),
    )


def note_resumption(folder: RunFolder, read: Read, device: torch.device) -> str | None:
    """The manifest keeps what the run began with, and lists beside it what each resumption was made with.

    The sentence to say where the two differ.
    """
    manifest, made = folder.manifest(), made_with(read, device)
    changed = [key for key, value in made.items() if manifest.get(key) != value]
    resumed = [*manifest.get("resumed", []), {"at": now(), **made}]
    folder.update_manifest(status="running", failure=None, stopped=None, resumed=resumed)
    return f"not the {' and '.join(changed)} that the run began with: its numbers may differ" if changed else None


def made_with(read: Read, device: torch.device) -> dict[str, Any]:
    own = {"code": dict(read.code)} if read.code else {}
    return {"commit": commit(), "versions": versions(), "hardware": hardware(device)} | own


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
