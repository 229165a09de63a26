"""What was run, how to run it again, and the scores before and after, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import yaml

from rltk.evaluation.compare import compare_rows
from rltk.report.axis import written
from rltk.report.items import kind_of
from rltk.report.read import Row, Run
from rltk.report.table import SHOWN
from rltk.run.progress import duration

BREAKDOWNS = {"by_level": "level", "by_subject": "subject", "by_subset": "subset"}
DRAWS = {"pass_at_k": "pass", "maj_at_k": "maj"}


class ScoreRow(NamedTuple):
    label: str
    metric: str
    """`accuracy`, `reward` or `loss`."""
    before: str
    after: str
    change: str
    n: str
    is_part: bool
    """Of the score above it."""


class Paired(NamedTuple):
    """After less before, on the same items."""

    label: str
    difference: str
    interval: str
    newly_right: int
    newly_wrong: int
    n: int
    p: str


def tune_words(manifest: Row) -> str:
    """`LoRA, rank 8` or `full`."""
    tune = manifest["recipe"].get("tune", {})
    return f"LoRA, rank {tune.get('rank')}" if tune.get("type") == "lora" else "every weight"


def facts(run: Run) -> dict[str, str]:
    """What was run, a line each; what a manifest does not say is left out."""
    manifest = run.manifest
    recipe = manifest["recipe"]
    found = {
        "Algorithm": recipe.get("algo", {}).get("type"),
        "Model": recipe.get("model", {}).get("path"),
        "Data": recipe.get("data", {}).get("path"),
        "Trained": manifest.get("tuned") or tune_words(manifest),
        "Learning rate": manifest.get("lr") and f"{manifest['lr']:.3g}",
        "Steps": f"{run.metrics[-1]['step'] if run.metrics else 0} of {recipe.get('optim', {}).get('steps')}",
        "Seed": manifest.get("seed"),
        "Status": manifest.get("status"),
        "Why it failed": manifest.get("failure"),
        "Why it ended early": why_stopped(manifest),
        "Started": manifest.get("started"),
        "Took": took(manifest),
        "Peak memory": manifest.get("peak_memory_bytes") and written(manifest["peak_memory_bytes"], "bytes"),
        "Machine": hardware_words(manifest),
        "Commit": manifest.get("commit"),
        "Versions": version_words(manifest),
        "Recipe hash": manifest.get("recipe_hash"),
        "Data hash": manifest.get("data_hash"),
        "Left out of training": left_out(manifest),
        "Resumed": manifest.get("resumed") and f"{len(manifest['resumed'])} times",
    }
    return {key: str(value) for key, value in found.items() if value not in (None, "", 0) or key == "Seed"}


def hardware_words(manifest: Row) -> str:
    machine = manifest.get("hardware", {})
    return ", ".join(f"{value} {key}" if key != "device" else str(value) for key, value in machine.items())


def version_words(manifest: Row) -> str:
    return ", ".join(f"{package} {version}" for package, version in manifest.get("versions", {}).items())


def left_out(manifest: Row) -> str:
    rows = manifest.get("left_out") or {}
    if not rows:
        return ""
    first, reason = next(iter(rows.items()))
    return f"{len(rows)} rows; the first, {first}, {reason}"


def why_stopped(manifest: Row) -> str:
    stopped = manifest.get("stopped")
    return f"after step {stopped['step']}: {stopped['overoptimised']}" if stopped else ""


def took(manifest: Row) -> str:
    """From the first start to the end, pauses included; empty for what has not ended."""
    started, finished = manifest.get("started"), manifest.get("finished")
    if not started or not finished:
        return ""
    return duration((datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds())


def recipe_text(run: Run) -> str:
    """The resolved recipe as a file that trains the same again."""
    return recipe_yaml(run.manifest["recipe"])


def recipe_yaml(values: Row) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def score_rows(run: Run) -> list[ScoreRow]:
    """Of every task: greedy, sampled, pass@k and maj@k, and by level, subject or subset; gold rewards, where known."""
    before, after = (run.scores.get(when, {}) for when in ("before", "after"))
    tasks = dict.fromkeys([*before, *after])
    return [row for task in tasks for row in task_rows(task, before.get(task, {}), after.get(task, {}))]


def task_rows(task: str, before: Row, after: Row) -> Iterator[ScoreRow]:
    yield score_row(task, before, after)
    yield from parts("{}", gold(before), gold(after))
    for key, name in BREAKDOWNS.items():
        yield from parts(f"{name} {{}}", before.get(key, {}), after.get(key, {}))
    if "sampled" in before or "sampled" in after:
        samples = [side.get("sampled", {}) for side in (before, after)]
        yield score_row(f"{task}, sampled", *samples)
        yield from parts("{}", *map(gold, samples))
        for key, name in DRAWS.items():
            yield from parts(f"{name}@{{}}", *(side.get(key, {}) for side in samples))


def gold(score: Row) -> Row:
    return {"gold reward": score["gold_reward"]} if "gold_reward" in score else {}


def parts(label: str, before: Row, after: Row) -> Iterator[ScoreRow]:
    for name in dict.fromkeys([*before, *after]):
        yield score_row(label.format(name), before.get(name, {}), after.get(name, {}), is_part=True)


def score_row(label: str, before: Row, after: Row, *, is_part: bool = False) -> ScoreRow:
    key = next((key for key in SHOWN if key in before or key in after), "accuracy")
    values, n = [side.get(key) for side in (before, after)], after.get("n", before.get("n"))
    was, is_now = values
    change = "-" if was is None or is_now is None else gain(is_now - was, key)
    was_shown, is_shown = (with_interval(side, key) for side in (before, after))
    return ScoreRow(label, key, was_shown, is_shown, change, "-" if n is None else f"{n:,}", is_part)


def gain(difference: float, key: str) -> str:
    return f"{written(difference, 'points')} points" if key == "accuracy" else f"{difference:+.3g}"


def with_interval(score: Row, key: str) -> str:
    if score.get(key) is None:
        return "-"
    low, high = score.get("ci95", (None, None))
    unit = SHOWN[key]
    between = "" if low is None or high is None else f" [{written(low, unit)}, {written(high, unit)}]"
    return written(score[key], unit) + between


def paired_rows(run: Run) -> list[Paired]:
    """The paired difference on each task whose items have verdicts on both sides."""
    return [row for task, sides in run.items.items() for row in paired(task, sides)]


def paired(task: str, sides: dict[str, list[Row]]) -> Iterator[Paired]:
    before, after = ([row for row in sides.get(when, ()) if is_graded(row)] for when in ("before", "after"))
    if not before or {row["id"] for row in before} != {row["id"] for row in after}:
        return
    for decoding, found in compare_rows(after, before).items():
        low, high = found["ci95"]
        yield Paired(
            label=f"{task}, {decoding}",
            difference=written(found["difference"], "points"),
            interval=f"[{written(low, 'points')}, {written(high, 'points')}]",
            newly_right=found["only_a"],
            newly_wrong=found["only_b"],
            n=found["n"],
            p=p_words(found["p"]),
        )


def p_words(p: float) -> str:
    return "below 0.0001" if p < 1e-4 else written(p)


def is_graded(row: dict[str, Any]) -> bool:
    """Whether it has a verdict, as completions have that were asked for an answer."""
    return kind_of(row) is not None and "verdict" in row and "gold" in row
