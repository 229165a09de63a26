"""The run folder `runs/<name>/<id>/`: what was run, every step's metrics, scores, items and checkpoints."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.recipe.resolved import recipe_from_resolved, recipe_hash
from rltk.recipe.schema import Recipe
from rltk.run.atomic import write_json, write_jsonl

Metrics = dict[str, Any]


class RunFolder:
    """Owns the files of one run. Metrics are held in memory and rewritten whole, so no line is ever half there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = read_jsonl(path / "metrics.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.path)

    def update_manifest(self, **changes: Any) -> None:
        path = self.path / "manifest.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        write_json(path, before | changes)

    def log(self, row: Metrics) -> None:
        self.metrics.append(row)
        write_jsonl(self.path / "metrics.jsonl", self.metrics)

    def forget_after(self, step: int) -> None:
        """Drops metrics later than the checkpoint a run resumes from; those steps are made again."""
        self.metrics = [row for row in self.metrics if row["step"] <= step]
        write_jsonl(self.path / "metrics.jsonl", self.metrics)

    def scores(self) -> dict[str, Any]:
        path = self.path / "scores.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def add_scores(self, when: str, scores: dict[str, Any]) -> None:
        write_json(self.path / "scores.json", self.scores() | {when: scores})

    def write_items(self, name: str, rows: list[dict[str, Any]]) -> None:
        write_jsonl(self.path / "items" / f"{name}.jsonl", rows)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run folder; a folder without one, or with a damaged one, is refused."""
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is not a run folder: it has no manifest.json.") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); start the run anew.") from error
    if not isinstance(manifest, dict) or "recipe" not in manifest:
        raise UserError(f"{file} is damaged (it holds no recipe); start the run anew.")
    return manifest


def run_recipe(path: Path) -> Recipe:
    return recipe_from_resolved(read_manifest(path)["recipe"], str(path / "manifest.json"))


class Place(NamedTuple):
    path: Path
    unfinished: Path | None
    """A run of the same recipe that was interrupted and that this one does not continue."""


def new_run_folder(recipe: Recipe, chosen: str | None) -> Place:
    """Where a new run goes: `chosen`, or `runs/<name>/<recipe hash>`, with a count behind it when that is taken."""
    if chosen is not None:
        path = Path(chosen)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"--run {chosen}: it exists and is not empty; add --resume to go on with it.")
        return Place(path, None)
    parent = Path(recipe.run.dir) / recipe.name
    taken = runs_of(recipe)
    unfinished = [path for path in taken if read_manifest(path).get("status") != "finished"]
    name, count = recipe_hash(recipe), 2
    while (parent / name).exists():
        name, count = f"{recipe_hash(recipe)}-{count}", count + 1
    return Place(parent / name, unfinished[-1] if unfinished else None)


def run_to_resume(recipe: Recipe, chosen: str | None) -> Path:
    """The run folder that `--resume` means: `chosen`, or the newest unfinished run of this very recipe."""
    if chosen is not None:
        manifest = read_manifest(Path(chosen))
        if manifest["recipe_hash"] != recipe_hash(recipe):
            raise UserError(
                f"--run {chosen} was started from another recipe (hash {manifest['recipe_hash']}, this one is "
                f"{recipe_hash(recipe)}); resume it as it was with: rltk train {chosen} --resume"
            )
        return Path(chosen)
    unfinished = [path for path in runs_of(recipe) if read_manifest(path).get("status") != "finished"]
    if not unfinished:
        raise UserError(f"there is no unfinished run of this recipe under {Path(recipe.run.dir) / recipe.name}.")
    return unfinished[-1]


def runs_of(recipe: Recipe) -> list[Path]:
    """Folders of this recipe's runs, oldest first."""
    parent = Path(recipe.run.dir) / recipe.name
    found = [path for path in parent.glob(f"{recipe_hash(recipe)}*") if (path / "manifest.json").exists()]
    return sorted(found, key=lambda path: read_manifest(path).get("started", ""))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time works in a run folder; the lock goes with the process, however it ends."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another process is working in {path}; wait for it, or stop it first.") from error
        file.write(str(os.getpid()))
        file.flush()
        yield


def read_jsonl(path: Path) -> list[Metrics]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
