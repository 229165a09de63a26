"""The run folder `runs/<name>/<id>/`: what was run, every step's metrics, scores, items and checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from rltk.errors import UserError
from rltk.recipe.resolved import recipe_from_resolved, recipe_hash
from rltk.recipe.schema import Recipe
from rltk.run.atomic import append_jsonl, whole_lines, write_json, write_jsonl
from rltk.run.lock import is_taken

Metrics = dict[str, Any]
METRICS, LATEST = "metrics.jsonl", "latest.jsonl"


class RunFolder:
    """Owns the files of one run. Metrics are in memory too; their file grows line by line, all others appear whole."""

    def __init__(self, path: Path, gauge: Callable[[], Metrics] = dict) -> None:
        """`gauge` says of the process, not of what it trains, what every step's metrics are to have beside."""
        self.path, self.gauge = path, gauge
        self.metrics = read_metrics(path)

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
        row = row | self.gauge()
        append_jsonl(self.path / METRICS, [row])
        self.metrics.append(row)

    def forget_after(self, step: int) -> None:
        """Drops metrics later than the checkpoint a run resumes from, and half a line; those steps are made again."""
        self.metrics = [row for row in self.metrics if row["step"] <= step]
        write_jsonl(self.path / METRICS, self.metrics)

    def scores(self) -> dict[str, Any]:
        path = self.path / "scores.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def add_scores(self, when: str, scores: dict[str, Any]) -> None:
        write_json(self.path / "scores.json", self.scores() | {when: scores})

    def write_update(self, described: dict[str, Any]) -> None:
        """What training added to each weight matrix, in the full arm too."""
        write_json(self.path / "adapter.json", described)

    def write_latest(self, rows: list[dict[str, Any]]) -> None:
        """Some completions of the newest step, for whoever watches the run."""
        write_jsonl(self.path / LATEST, rows)

    def write_items(self, name: str, rows: list[dict[str, Any]]) -> None:
        write_jsonl(self.path / "items" / f"{name}.jsonl", rows)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run folder; a folder without one, or with a damaged one, is refused."""
    file = path / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} is not a run folder: it has no manifest.json.") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); start the run anew.") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("recipe"), dict) or "recipe_hash" not in manifest:
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
        if (path / "manifest.json").exists():
            raise UserError(f"--run {chosen}: there is a run in it; add --resume to go on with it, or name another.")
        if is_taken(path):
            raise UserError(f"--run {chosen}: it exists and is not empty; name a new folder.")
        return Place(path, None)
    parent = Path(recipe.run.dir) / recipe.name
    name, count = recipe_hash(recipe), 2
    while is_taken(parent / name):
        name, count = f"{recipe_hash(recipe)}-{count}", count + 1
    unfinished = unfinished_runs(recipe)
    return Place(parent / name, unfinished[-1] if unfinished else None)


def run_to_resume(recipe: Recipe, chosen: str | None) -> Path:
    """The run folder that `--resume` means: `chosen`, or the newest unfinished run of this very recipe."""
    if chosen is not None:
        manifest = read_manifest(Path(chosen))
        if manifest["recipe_hash"] != recipe_hash(recipe):
            raise UserError(
                f"--run {chosen} was started from another recipe (hash {manifest['recipe_hash']}, this one is "
                f"{recipe_hash(recipe)}); resume it as it was with: {resume_command(Path(chosen))}"
            )
        refuse_finished(Path(chosen), manifest)
        return Path(chosen)
    unfinished = unfinished_runs(recipe)
    if not unfinished:
        others = unfinished_runs(recipe, "*")
        hint = f"; one of another recipe of that name goes on with: {resume_command(others[-1])}" if others else "."
        raise UserError(f"there is no unfinished run of this recipe under {Path(recipe.run.dir) / recipe.name}{hint}")
    return unfinished[-1]


def refuse_finished(path: Path, manifest: dict[str, Any]) -> None:
    if manifest.get("status") != "finished":
        return
    recipe, stopped = manifest["recipe"], manifest.get("stopped")
    early = f", early after step {stopped['step']} because its reward was over-optimised" if stopped else ""
    is_evaluable = can_be_evaluated(recipe["data"]["kind"], recipe["algo"]["type"])
    again = "evaluate it with: rltk eval" if is_evaluable else "look at it with: rltk report"
    raise UserError(f"{path} is finished{early}; {again} {quote(str(path))}")


def can_be_evaluated(kind: str, algo: str) -> bool:
    """Whether `rltk eval` measures what such a run trained: without problems there are no answers to be graded."""
    return kind in ("number", "math") or algo == "reward_model"


def resume_command(path: Path) -> str:
    return f"rltk train {quote(str(path))} --resume"


def unfinished_runs(recipe: Recipe, pattern: str | None = None) -> list[Path]:
    """Folders of this recipe's runs that can be gone on with, the newest last; damaged ones are passed over."""
    found: list[tuple[str, int, Path]] = []
    for path in (Path(recipe.run.dir) / recipe.name).glob(pattern or f"{recipe_hash(recipe)}*"):
        try:
            manifest = read_manifest(path)
        except UserError:
            continue
        if manifest.get("status") != "finished":
            found.append((str(manifest.get("started")), len(path.name), path))  # -10 was started after -2
    return [path for *_, path in sorted(found)]


def read_metrics(run: Path) -> list[Metrics]:
    """A row a step, without a last one that is being written, or that a killed process left in half."""
    path = run / METRICS
    return [read_line(path, number, line) for number, line in enumerate(whole_lines(path), 1)]


def read_line(path: Path, number: int, line: bytes) -> Metrics:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UserError(f"{path} is damaged (line {number}: {error}); start the run anew.") from error


def read_jsonl(path: Path) -> list[Metrics]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); start the run anew.") from error


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is no file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}).") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged (it holds no object).")
    return value
