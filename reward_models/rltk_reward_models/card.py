"""A reward model's card, README.md of its folder: what was measured, and in so many words what was not."""

import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rltk_eval.metrics import Interval

from rltk_reward_models.accuracy import Accuracy, LengthBaseline, length_baseline, pair_accuracy
from rltk_reward_models.calibration import Report, calibration_report
from rltk_reward_models.length_bias import Effect, LengthBias, length_bias
from rltk_reward_models.pairs import ScoredPair

UNKNOWN = "not stated"
UNMEASURED = "not measured"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Measurements:
    """On held-out pairs; None is written as not measured."""

    accuracy: Accuracy | None = None
    baseline: LengthBaseline | None = None
    calibration: Report | None = None
    length_bias: LengthBias | None = None


@dataclass(frozen=True)
class Card:
    name: str
    is_adapter: bool
    measured: Measurements = Measurements()
    base: str | None = None
    """Hub id or folder of the model that was trained further."""
    method: str | None = None
    """Such as "LoRA of rank 8 on all linear layers"."""
    train_data: str | None = None
    eval_data: str | None = None
    """The pairs that were measured on; none of their prompts in training."""
    datasets: tuple[str, ...] = ()
    """Hub ids, for the hub's own index."""
    excluded: int | None = None
    """Pairs of the evaluation data that have no score, and why is in `eval_data`."""
    recipe_hash: str | None = None
    seeds: tuple[int, ...] = ()
    license: str | None = None


def measure(pairs: Iterable[ScoredPair]) -> Measurements:
    """Everything that a card holds, from held-out pairs."""
    held_out = list(pairs)
    return Measurements(
        pair_accuracy(held_out), length_baseline(held_out), calibration_report(held_out), length_bias(held_out)
    )


def write_card(folder: Path, card: Card) -> None:
    """README.md of the folder, complete or not at all."""
    beside = folder / ".README.md.writing"
    beside.write_text(render_card(card), encoding="utf-8")
    os.replace(beside, folder / "README.md")


def render_card(card: Card) -> str:
    """The same text for the same card."""
    sections = [
        _front_matter(card),
        f"# {escaped(card.name)}\n\nA reward model: one score for a conversation, higher for the better reply. Only "
        "differences between replies to the same prompt mean anything.",
        f"## Training\n\n{_table(_training(card))}",
        f"## Pair accuracy\n\n{_table(_accuracy(card))}",
        f"## Calibration\n\n{_calibration(card.measured.calibration)}",
        f"## Length\n\n{_length(card.measured.length_bias)}",
        "Intervals are of 95 %, clustered by prompt. Ties count half.",
    ]
    return "\n\n".join(sections) + "\n"


def escaped(text: str) -> str:
    """The text as Markdown shows it, in a table cell too: no markup, HTML, link or line break of its own."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    signs = (entities.get(sign) or (f"\\{sign}" if sign in r"\`*_{}[]()#+-.!|~$" else sign) for sign in text)
    return " ".join("".join(signs).split())


def _front_matter(card: Card) -> str:
    """YAML that the hub reads. JSON is YAML, and quotes whatever a name holds."""
    fields: dict[str, object] = {
        "library_name": "peft" if card.is_adapter else "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model", "rltk"],
    }
    if card.base is not None and HUB_ID.fullmatch(card.base):
        fields["base_model"] = card.base
    if card.datasets:
        fields["datasets"] = list(card.datasets)
    if card.license is not None:
        fields["license"] = card.license
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in fields.items()), "---"])


def _training(card: Card) -> list[tuple[str, str]]:
    seeds = ", ".join(map(str, card.seeds))
    rows = (("base", card.base), ("method", card.method), ("data", card.train_data), ("recipe", card.recipe_hash))
    return [
        *((name, UNKNOWN if value is None else escaped(value)) for name, value in rows),
        ("seeds", seeds or UNKNOWN),
    ]


def _accuracy(card: Card) -> list[tuple[str, str]]:
    accuracy, baseline = card.measured.accuracy, card.measured.baseline
    better = f"always the {baseline.prefers} reply" if baseline else "always the longer, or always the shorter reply"
    return [
        ("held-out pairs", UNKNOWN if card.eval_data is None else escaped(card.eval_data)),
        ("this model", _share(accuracy)),
        (better, _share(baseline.accuracy if baseline else None)),
        ("difference in points", _points(baseline)),
        ("pairs without a score, left out", UNKNOWN if card.excluded is None else str(card.excluded)),
    ]


def _calibration(report: Report | None) -> str:
    if report is None:
        return f"Whether sigmoid(difference of scores) is the chance of being preferred: {UNMEASURED}."
    before, after = report.before, report.after
    fitted = "has no estimate" if after is None else f"is {_number(report.temperature)}; divide scores by it before use"
    rows = [
        (name, _number(getattr(before, field)), UNMEASURED if after is None else _number(getattr(after, field)))
        for name, field in (
            ("log loss, nats", "log_loss"),
            ("Brier score", "brier"),
            ("expected calibration error, bins of equal mass", "expected_error"),
            ("squared kernel calibration error, unbiased", "kernel_error"),
        )
    ]
    curve = [(_number(b.confidence), _percent(b.accuracy), _interval(b.interval), str(b.pairs)) for b in before.curve]
    return (
        f"sigmoid(difference of scores) read as the chance of being preferred. The temperature, fitted on the "
        f"{report.fitted_pairs} pairs of one half of the prompts, {fitted}. On the other half:\n\n"
        f"{_table(rows, ('', 'as it is', 'at the temperature'))}\n\n"
        f"{_table(curve, ('confidence', 'accuracy', '95 % interval', 'pairs'))}"
    )


def _length(bias: LengthBias | None) -> str:
    if bias is None:
        return f"Whether the model pays for length: {UNMEASURED}."
    rows = [
        ("accuracy where the preferred reply is longer", _share(bias.chosen_longer)),
        ("accuracy where it is shorter", _share(bias.chosen_shorter)),
        ("accuracy where both are as long", _share(bias.equal)),
        ("correlation of score and length (Pearson, Spearman)", f"{_number(bias.pearson)}, {_number(bias.spearman)}"),
        ("the same within prompts", f"{_number(bias.pearson_within)}, {_number(bias.spearman_within)}"),
        ("effect of the score on the preference at equal length", _effect(bias.score)),
        ("effect of length on the preference at equal score", _effect(bias.length)),
    ]
    return (
        f"{_table(rows)}\n\nEffects are log-odds per root mean square of the difference. An effect of length below 0 "
        "means that the model pays more for length than the labels do; above 0, less."
    )


def _table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = ("", "")) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _share(accuracy: Accuracy | None) -> str:
    if accuracy is None or math.isnan(accuracy.accuracy):
        return UNMEASURED
    ties = f", {accuracy.ties} ties" if accuracy.ties else ""
    counts = f"{accuracy.pairs} pairs of {accuracy.prompts} prompts{ties}"
    return f"{_percent(accuracy.accuracy)} {_interval(accuracy.interval)}, {counts}"


def _points(baseline: LengthBaseline | None) -> str:
    if baseline is None or math.isnan(baseline.lead.difference):
        return UNMEASURED
    low, high = (_number(100 * bound, 1) for bound in baseline.lead.interval)
    return f"{100 * baseline.lead.difference:+.1f} [{low}, {high}]"


def _effect(effect: Effect) -> str:
    if math.isnan(effect.weight):
        return "has no estimate"
    return f"{effect.weight:+.2f} [{_number(effect.interval.low, 2)}, {_number(effect.interval.high, 2)}]"


def _interval(interval: Interval) -> str:
    return f"[{_percent(interval.low)}, {_percent(interval.high)}]"


def _percent(share: float) -> str:
    return "undefined" if math.isnan(share) else f"{100 * share:.1f} %"


def _number(value: float, digits: int = 3) -> str:
    # Adding zero turns -0.0 into 0.0.
    return "undefined" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"
