"""What the scores of a reward model say beyond its accuracy: calibration, and how much of it is length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rltk.report.axis import written
from rltk.report.chart import GREY, Chart, Line, Mark
from rltk.report.facts import with_interval
from rltk.report.read import Row, Run

LENGTH = {
    "chosen_longer": "Accuracy where the chosen reply is longer",
    "chosen_shorter": "Accuracy where it is shorter",
}
CORRELATIONS = {
    "pearson": "Correlation of score and length",
    "spearman": "The same, of ranks",
    "pearson_within": "Correlation within a prompt",
    "spearman_within": "The same, of ranks",
}
EFFECTS = {"score_effect": "Weight of the score", "length_effect": "Weight of length at equal score"}


class Ranking(NamedTuple):
    """Of one task, after training or, where there is no such score, before."""

    task: str
    charts: list[Chart]
    calibration: list[tuple[str, str]]
    length: list[tuple[str, str]]


def rankings(run: Run) -> list[Ranking]:
    """One for each task whose scores have a calibration or a length bias."""
    scores = run.scores.get("before", {}) | run.scores.get("after", {})
    return [
        Ranking(task, reliability(task, score), list(calibration(score)), list(length(score)))
        for task, score in scores.items()
        if "calibration" in score or "length_bias" in score
    ]


def reliability(task: str, score: Row) -> list[Chart]:
    """Accuracy against confidence, at temperature 1 and at the fitted one."""
    marks = [mark for number, (_, found) in enumerate(temperatures(score)) for mark in bins(found, number)]
    if not marks:
        return []
    diagonal = Line("calibrated", [(0.5, 0.5), (1.0, 1.0)], GREY)
    about = "Dots on the line mean what they say; the second colour is at the fitted temperature. 95 % intervals."
    title = f"Accuracy against confidence, {task}"
    return [Chart(f"reliability-{task}", title, [diagonal], marks, unit="share", x_title="confidence", about=about)]


def temperatures(score: Row) -> Iterator[tuple[str, Row]]:
    found = score.get("calibration") or {}
    if found.get("before"):
        yield "at temperature 1", found["before"]
    if found.get("after"):
        yield f"at the fitted temperature, {written(found.get('temperature'))}", found["after"]


def bins(found: Row, number: int) -> Iterator[Mark]:
    for part in found.get("curve") or ():
        if part["confidence"] is not None and part["accuracy"] is not None:
            label = f"{part['pairs']} pairs at confidence {part['confidence']:.2f}"
            yield Mark(label, part["confidence"], part["accuracy"], part["interval"], number)


def calibration(score: Row) -> Iterator[tuple[str, str]]:
    for name, found in temperatures(score):
        yield f"Log loss {name} (a coin: 0.693)", written(found["log_loss"])
        yield f"Expected calibration error {name}", written(found["expected_error"])


def length(score: Row) -> Iterator[tuple[str, str]]:
    """Rows of a table: what to look at, and the value with its interval."""
    baseline, lead, bias = (score.get(key) or {} for key in ("length_baseline", "lead", "length_bias"))
    if baseline:
        yield f'Accuracy of "the {baseline["prefers"]} reply"', with_interval(baseline, "accuracy")
    if lead:
        yield "Lead of the model over that", f"{written(lead['difference'], 'points')} points {bounds(lead, 'points')}"
    yield from ((words, with_interval(bias[key], "accuracy")) for key, words in LENGTH.items() if key in bias)
    yield from ((words, written(bias[key])) for key, words in CORRELATIONS.items() if key in bias)
    for key, words in EFFECTS.items():
        if key in bias:
            yield words, f"{written(bias[key]['weight'])} {bounds(bias[key])}"


def bounds(found: Row, unit: str = "") -> str:
    low, high = found["ci95"]
    return f"[{written(low, unit)}, {written(high, unit)}]"
