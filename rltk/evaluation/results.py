"""What an evaluation leaves in its folder and tells programs, of policies and of reward models alike."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rltk.evaluation.earlier import SCORES, Earlier
from rltk.evaluation.items import Row
from rltk.evaluation.pairs.plan import Scoring
from rltk.evaluation.plan import Live
from rltk.run.atomic import without_nan, write_json

COMPARISON = "comparison.json"
Comparison = dict[str, Any]
"""The difference of the two sides on each task."""


class Measured(NamedTuple):
    scores: dict[str, Any]
    rows: dict[str, list[Row]]


def write_results(
    out: Path,
    sides: Sequence[Live | Scoring | Earlier],
    measured: Sequence[Measured],
    comparison: Comparison | None,
) -> None:
    """Scores beside the items they were counted from; the comparison in the folder that was named."""
    for side, found in zip(sides, measured, strict=True):
        if not isinstance(side, Earlier) and side.folder is not None:
            write_json(side.folder / SCORES, found.scores)
    if comparison is not None:
        write_json(out / COMPARISON, {"a": sides[0].name, "b": sides[1].name, "tasks": comparison})


def print_json(args: Namespace, measured: Sequence[Measured], comparison: Comparison | None) -> None:
    answer: dict[str, Any] = {"target": args.target, "scores": measured[0].scores}
    if comparison is not None:
        answer |= {"against": args.against, "against_scores": measured[1].scores, "comparison": comparison}
    print(json.dumps(without_nan(answer)))
