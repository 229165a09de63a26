"""What a finished run scored on each item, by what the comparison judges by; read from its folder alone."""

from __future__ import annotations

import json
from collections import defaultdict
from math import isclose, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any

from rltk.compare.plan import Comparison, Planned
from rltk.errors import UserError
from rltk.recipe.sections.compare import SAMPLED, SHARES
from rltk.run.folder import read_jsonl

AGREE = 1e-9
"""By how much the score in scores.json may differ from that of the items, for rounding."""
Rows = list[dict[str, Any]]


def item_scores(comparison: Comparison, run: Planned, when: str) -> dict[str, float]:
    """Of each item of its first task, before or after training: from 0 to 1, its reward, or its share of the loss in
    nats."""
    path, metric = comparison.folder(run), comparison.recipe.compare.metric
    file, task = path / "scores.json", task_of(path, when)
    said = score_said(read_scores(path)[when][task], metric)
    if not isinstance(said, float):
        name = f"{metric} accuracy" if metric in SHARES else metric
        raise UserError(f"{file}: the {name} {when} training is {json.dumps(said)}, no number ({run}).")
    items = path / "items" / f"{when}-{task}.jsonl"
    rows = rows_of(read_jsonl(items), metric)
    refuse_no_number(rows, metric, items, run)
    scores = by_item(rows, metric)
    if not scores or not isclose(fmean(scores.values()), said, abs_tol=AGREE):
        raise UserError(f"{file} and the items beside it disagree on the score {when} training ({run}).")
    return scores


def score_said(score: dict[str, Any], metric: str) -> Any:
    """Of one task; None where it was not scored so."""
    return (score.get("sampled", {}) if metric in SAMPLED else score).get(score_key(metric))


def score_key(metric: str) -> str:
    """What the number is called in scores.json."""
    return "accuracy" if metric in SHARES else metric


def rows_of(rows: Rows, metric: str) -> Rows:
    """Those of the decoding that is judged; items that are not sampled have none."""
    if metric in ("loss", "pairs"):
        return rows
    decoding = "sampled" if metric in SAMPLED else metric
    return [row for row in rows if row.get("decoding") == decoding]


def refuse_no_number(rows: Rows, metric: str, file: Path, run: Planned) -> None:
    """JSON has null for nan, and a file of another hand may hold NaN itself, which no comparison calls wrong."""
    for row in rows:
        for key in measured(row, metric):
            value = row.get(key)
            if not isinstance(value, (int, float)) or not isfinite(value):
                what = "pair" if metric == "pairs" else "item"
                raise UserError(
                    f"{file}: {key} of {what} {row.get('id')} is {json.dumps(value)}, no number ({run}); move that run "
                    "away and make it anew."
                )


def measured(row: dict[str, Any], metric: str) -> tuple[str, ...]:
    """The keys whose numbers make a row's score."""
    match metric:
        case "loss":
            return "nats", "tokens"
        case "pairs":
            kind = "score" if "chosen_score" in row else "reward"
            return f"chosen_{kind}", f"rejected_{kind}"
        case "reward":
            return ("reward",)
        case _:
            return ("correct",)


def by_item(rows: Rows, metric: str) -> dict[str, float]:
    """Their mean is what scores.json says of the whole task."""
    match metric:
        case "loss":
            return losses(rows)
        case "pairs":
            return {row["id"]: ranked_right(row) for row in rows}
        case "reward":
            return means(rows, "reward")
        case _:
            return means(rows, "correct")


def means(rows: Rows, key: str) -> dict[str, float]:
    """Over the completions of an item."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row["id"]].append(float(row[key]))
    return {item: fmean(values) for item, values in found.items()}


def losses(rows: Rows) -> dict[str, float]:
    """Nats of an item over the mean number of tokens, so that long solutions count for more, as they do in the loss."""
    tokens = sum(row["tokens"] for row in rows)
    return {row["id"]: row["nats"] * len(rows) / tokens for row in rows}


def ranked_right(row: dict[str, Any]) -> float:
    """1 where the preferred reply is worth more, a half where both are worth the same."""
    chosen, rejected = (float(row[key]) for key in measured(row, "pairs"))
    return float(chosen > rejected) + 0.5 * (chosen == rejected)


def clusters(comparison: Comparison, run: Planned) -> dict[str, str] | None:
    """The prompt of each pair, since pairs of one prompt are not independent; None where items are."""
    if comparison.recipe.compare.metric != "pairs":
        return None
    path = comparison.folder(run)
    rows = read_jsonl(path / "items" / f"after-{task_of(path, 'after')}.jsonl")
    return {row["id"]: json.dumps(row["prompt"]) for row in rows}


def task_of(path: Path, when: str) -> str:
    """The name of the first task in a run's scores."""
    scores = read_scores(path).get(when)
    if not scores:
        raise UserError(f"{path / 'scores.json'} has no scores {when} training; make the run anew.")
    return next(iter(scores))


def read_scores(path: Path) -> dict[str, Any]:
    file = path / "scores.json"
    try:
        scores = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} is finished and has no scores.json; make the run anew.") from error
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); make the run anew.") from error
    if not isinstance(scores, dict):
        raise UserError(f"{file} is damaged (it holds no scores); make the run anew.")
    return scores
