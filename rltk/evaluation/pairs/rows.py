"""Rows of scored pairs, as items/*.jsonl holds them, and what they come to."""

from collections.abc import Sequence
from json import dumps
from typing import Any

from rltk_reward_models.accuracy import Accuracy, accuracy_difference, length_baseline, pair_accuracy
from rltk_reward_models.calibration import Calibration, calibration_report
from rltk_reward_models.length_bias import Effect, length_bias
from rltk_reward_models.pairs import ScoredPair

from rltk.data.preferences import Preference
from rltk.evaluation.items import Row

Score = dict[str, Any]
COMPARED = ("id", "prompt", "chosen", "rejected")


def make_row(pair: Preference, scores: tuple[float, float], *, is_truncated: bool) -> Row:
    chosen, rejected = scores
    return {
        "id": pair.id,
        "subset": pair.subset,
        "prompt": [message._asdict() for message in pair.prompt],
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "chosen_score": chosen,
        "rejected_score": rejected,
        "correct": (chosen > rejected) + 0.5 * (chosen == rejected),
        "truncated": is_truncated,
    }


def check_pair(row: Row) -> None:
    scored_pair(row)
    _ = row["id"], row["subset"], row["correct"], row["truncated"]


def scored_pair(row: Row) -> ScoredPair:
    """Lengths are in characters, so that models with different tokenizers can be compared."""
    return ScoredPair(
        prompt=dumps(row["prompt"]),
        chosen=float(row["chosen_score"]),
        rejected=float(row["rejected_score"]),
        chosen_length=len(row["chosen"]),
        rejected_length=len(row["rejected"]),
    )


def summarize_pairs(rows: Sequence[Row]) -> Score:
    """`accuracy` is the share of pairs whose chosen reply scores higher, ties half, with `ci95` clustered by prompt.

    `length_baseline` is the better of "the longer reply" and "the shorter reply", `lead` the accuracy less that.
    """
    pairs = [scored_pair(row) for row in rows]
    baseline, bias, report = length_baseline(pairs), length_bias(pairs), calibration_report(pairs)
    parts = {
        subset: [p for p, row in zip(pairs, rows, strict=True) if row["subset"] == subset] for subset in subsets(rows)
    }
    return {
        **accuracy_json(pair_accuracy(pairs)),
        "truncated": sum(row["truncated"] for row in rows) / len(rows),
        "length_baseline": {"prefers": baseline.prefers, **accuracy_json(baseline.accuracy)},
        "lead": {"difference": baseline.lead.difference, "ci95": [*baseline.lead.interval]},
        "by_subset": {subset: accuracy_json(pair_accuracy(part)) for subset, part in parts.items()},
        "length_bias": {
            "chosen_longer": accuracy_json(bias.chosen_longer),
            "chosen_shorter": accuracy_json(bias.chosen_shorter),
            "pearson": bias.pearson,
            "spearman": bias.spearman,
            "pearson_within": bias.pearson_within,
            "spearman_within": bias.spearman_within,
            "score_effect": effect_json(bias.score),
            "length_effect": effect_json(bias.length),
        },
        "calibration": {
            "temperature": report.temperature,
            "fitted_on": report.fitted_pairs,
            "before": calibration_json(report.before),
            "after": None if report.after is None else calibration_json(report.after),
        },
    }


def compare_pairs(ours: Sequence[Row], theirs: Sequence[Row]) -> Score:
    """The paired difference of two reward models on the same pairs, and on how many pairs either alone is right."""
    found = accuracy_difference([scored_pair(row) for row in ours], [scored_pair(row) for row in theirs])
    both = list(zip(ours, theirs, strict=True))
    return {
        "difference": found.difference,
        "ci95": [*found.interval],
        "n": found.pairs,
        "prompts": found.prompts,
        "only_a": sum(a["correct"] > b["correct"] for a, b in both),
        "only_b": sum(a["correct"] < b["correct"] for a, b in both),
    }


def subsets(rows: Sequence[Row]) -> list[str]:
    return sorted({row["subset"] for row in rows if row["subset"] is not None})


def accuracy_json(found: Accuracy) -> Score:
    return {
        "accuracy": found.accuracy,
        "ci95": [*found.interval],
        "n": found.pairs,
        "prompts": found.prompts,
        "ties": found.ties,
    }


def effect_json(found: Effect) -> Score:
    return {"weight": found.weight, "ci95": [*found.interval]}


def calibration_json(found: Calibration) -> Score:
    curve = [{**part._asdict(), "interval": [*part.interval]} for part in found.curve]
    return {**found._asdict(), "curve": curve}
