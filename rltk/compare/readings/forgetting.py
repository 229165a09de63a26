"""FG-1: what each arm still knows of a task that it did not train on, where both know the new one equally well.

Shapes: S seeds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rltk_eval.equivalence.scores import Array

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.measures import read_scores, score_said
from rltk.compare.outcome import Outcome, verdict_of
from rltk.errors import UserError


def forgets_less(evidence: Sequence[Evidence]) -> Outcome:
    """Of the last LoRA arm: its score on the second task less the reference's, 95 % interval over paired seeds.

    Who learned less has less to forget with: that LoRA kept more counts where its score on the first task is within
    the margin of the reference's or above it (TOST at 5 %, from below), and that it kept less where it is not above.
    """
    (one,) = evidence
    arm, margin = one.others[-1], one.conclusion["margin"]["value"]
    kept = {name: kept_S(one, name) for name in (arm, one.reference)}
    mean, low, high = mean_interval(kept[arm] - kept[one.reference], 0.95)
    learned, learned_low, learned_high = mean_interval(one.better_S(arm, one.reference), 0.9)
    verdict = verdict_of(is_shown=low > 0 and learned_low > -margin, is_refuted=high < 0 and learned_high < margin)
    start = before(one)
    began = "" if start is None else f", {start:.1%} before"
    of_each = f"{kept[arm].mean():.1%} of {arm} and {kept[one.reference].mean():.1%} of full"
    summary = (
        f"{second_task(one)} after training {of_each}{began}: {100 * mean:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}], at {100 * learned:+.1f} points on the task that was trained"
    )
    details = {
        "second_task": {name: scores_S.tolist() for name, scores_S in kept.items()},
        "before": start,
        "first_task": [learned, learned_low, learned_high],
        "margin": margin,
    }
    return Outcome(verdict, summary, mean, (low, high), details)


def kept_S(one: Evidence, arm: str) -> Array:
    """Scores on the second task after training, in the order of seeds."""
    scores = [read_scores(one.comparison.folder(run)) for run in one.runs(arm)]
    return np.array([second_score(one, each, "after") for each in scores], float)


def before(one: Evidence) -> float | None:
    """The score that training began with, of the first run that was evaluated then."""
    for run in one.found.confirmation:
        scores = read_scores(one.comparison.folder(run))
        if "before" in scores:
            return second_score(one, scores, "before")
    return None


def second_score(one: Evidence, scores: dict[str, Any], when: str) -> float:
    tasks = list(scores.get(when, {}))
    said = score_said(scores[when][tasks[1]], one.comparison.recipe.compare.metric) if len(tasks) > 1 else None
    if not isinstance(said, float):
        raise UserError(f"the runs of {one.comparison.path} have no score of a second task {when} training.")
    return said


def second_task(one: Evidence) -> str:
    return list(read_scores(one.comparison.folder(one.found.confirmation[0]))["after"])[1]
