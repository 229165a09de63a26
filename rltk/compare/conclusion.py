"""comparison.json: the verdict on every arm and what it rests on. The same run folders give the same bytes."""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import Any

from rltk_eval.equivalence.assay import Assay
from rltk_eval.equivalence.families import Family, decide_all
from rltk_eval.equivalence.report import sentence, to_json
from rltk_eval.equivalence.scores import ArmScores, arm_scores, pair
from rltk_eval.equivalence.verdict import Decision, Verdict, decide

from rltk.compare.costs import costs
from rltk.compare.margin import Fixed
from rltk.compare.measures import clusters, item_scores, task_of
from rltk.compare.optima import number, optima
from rltk.compare.plan import CONTROL, Comparison
from rltk.compare.survey import Survey, refuse_incomplete, survey
from rltk.compare.tuning import Sweep
from rltk.recipe.sections.compare import LearningRates
from rltk.run.atomic import write_json

COMPARISON, COSTS = "comparison.json", "costs.json"
START = "start"
SCORES = {
    "greedy": "accuracy on the test split",
    "sampled": "accuracy of samples on the test split",
    "pairs": "accuracy on held-out pairs",
    "reward": "mean reward of samples on the test split",
    "loss": "log-loss of held-out solutions",
}
"""What is compared, by compare.metric."""
FAMILY_SAYS = {
    Verdict.EQUIVALENT: "{arms}: equivalent to {reference}",
    Verdict.DIFFERENT_WITHIN_MARGIN: "{arms}: different from {reference}, by less than the margin",
    Verdict.SUPERIOR: "{arms}: better than {reference}",
    Verdict.NON_INFERIOR: "{arms}: not inferior to {reference}",
    Verdict.INFERIOR: "{inferior}: inferior to {reference}",
    Verdict.INCONCLUSIVE: "{arms} against {reference}: undecided",
    Verdict.ASSAY_INSENSITIVE: "{arms} against {reference}: undecided, these runs could not have shown a loss",
}


def conclude(comparison: Comparison) -> dict[str, Any]:
    """Writes comparison.json, and costs.json beside it, from the run folders; refused unless all of them are there."""
    found = survey(comparison)
    result = concluded(comparison, found)
    write_json(comparison.path / COMPARISON, result)
    # Apart from the verdict: how long runs took is never the same twice.
    write_json(comparison.path / COSTS, costs(comparison, found))
    return result


def concluded(comparison: Comparison, found: Survey) -> dict[str, Any]:
    """What comparison.json says, and nothing is written; refused unless all runs are there."""
    refuse_incomplete(comparison, found)
    assert found.fixed is not None
    return conclusion(comparison, found, found.fixed)


def conclusion(comparison: Comparison, found: Survey, fixed: Fixed) -> dict[str, Any]:
    compare = comparison.recipe.compare
    scores = all_scores(comparison, found)
    reference = scores[comparison.reference]
    alike = clusters(comparison, found.confirmation[0])
    paired = partial(pair, higher_is_better=comparison.sign > 0, clusters=alike)
    assay = Assay(paired(reference, scores[START]), compare.minimum_gain, paired(scores[CONTROL], reference))
    decisions = {
        arm: decide(paired(scores[arm], reference), fixed.margin, assay, alpha=compare.alpha, looks=compare.looks)
        for arm in comparison.others
    }
    family = decide_all(list(decisions.values()))
    return {
        "name": comparison.recipe.name,
        "sentence": family_sentence(comparison, family, decisions, fixed),
        "family": family_json(family),
        "reference": comparison.reference,
        "metric": compare.metric,
        "task": task_of(comparison.folder(found.confirmation[0]), "after"),
        "margin": {
            "value": number(fixed.margin.value),
            "rule": fixed.margin.rule,
            "minimum_gain": compare.minimum_gain,
        },
        "arms": {arm: scored(comparison, arm, fixed, scores[arm]) for arm in [*comparison.arms, CONTROL]},
        "start": {str(seed): number(value) for seed, value in by_seed(scores[START]).items()},
        "verdicts": {arm: to_json(decision) for arm, decision in decisions.items()},
        "optima": optima(comparison, found.tuning),
        "sweep": {arm: swept(sweep) for arm, sweep in found.tuning.sweeps.items()},
        "notes": notes(comparison, found),
    }


def all_scores(comparison: Comparison, found: Survey) -> dict[str, ArmScores]:
    """Item scores on the test split, seed by seed: of every arm, of the control, and of the start."""
    after: dict[str, dict[int, dict[str, float]]] = {arm: {} for arm in [*comparison.arms, CONTROL]}
    start: dict[int, dict[str, float]] = {}
    for run in found.confirmation:
        after[run.arm][run.seed] = item_scores(comparison, run, "after")
        if run.recipe.eval.before:
            start[run.seed] = item_scores(comparison, run, "before")
    return {arm: arm_scores(arm, scores) for arm, scores in (after | {START: start}).items()}


def scored(comparison: Comparison, arm: str, fixed: Fixed, scores: ArmScores) -> dict[str, Any]:
    seeds = by_seed(scores)
    return {
        "of": comparison.control if arm == CONTROL else arm,
        "lr": fixed.rates[arm],
        "score": number(fmean(seeds.values())),
        "seeds": {str(seed): number(value) for seed, value in seeds.items()},
    }


def by_seed(scores: ArmScores) -> dict[int, float]:
    return dict(zip(scores.seeds, map(float, scores.values_SN.mean(axis=1)), strict=True))


def swept(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {"lr": run.lr, "seed": run.seed, "steps": steps, "score": score.value, "failure": score.failure}
        for run, score, steps in sorted(sweep.tried, key=lambda tried: (tried.steps, tried.run.lr, tried.run.seed))
    ]


def family_sentence(comparison: Comparison, family: Family, decisions: dict[str, Decision], fixed: Fixed) -> str:
    """The verdict on all arms in one sentence; a single arm's own, which says more than the family's."""
    first = next(iter(decisions.values()))
    if len(decisions) == 1:
        return f"{sentence(first).removesuffix('.')} ({SCORES[comparison.recipe.compare.metric]})."
    seeds = len(first.pairs.seeds)
    says = FAMILY_SAYS[family.verdict].format(
        arms=", ".join(decisions), reference=comparison.reference, inferior=", ".join(family.inferior)
    )
    return (
        f"{says} (margin {fixed.margin.value:.4g}, {seeds} paired seeds, {SCORES[comparison.recipe.compare.metric]})."
    )


def family_json(family: Family) -> dict[str, Any]:
    return {
        "verdict": family.verdict.value,
        "p_equivalence": number(family.p_equivalence),
        "p_non_inferiority": number(family.p_non_inferiority),
        "inferior": list(family.inferior),
    }


def allowed(rates: LearningRates) -> str:
    """How many learning rates an arm may be given, and by which keys."""
    keys = "compare.rates.most and refine" if rates.refine else "compare.rates.most"
    return f"{rates.most + 2 * rates.refine} allowed by {keys}"


def notes(comparison: Comparison, found: Survey) -> list[str]:
    """What a reader should know of how the runs came about, a sentence each."""
    said: list[str] = []
    rates = comparison.recipe.compare.rates
    for arm, sweep in found.tuning.sweeps.items():
        if not sweep.is_interior:
            said.append(f"{arm}: its best learning rate ({sweep.lr:g}) is the lowest or highest of the "
                        f"{allowed(rates)}, so a better one may lie beyond.")  # fmt: skip
        failed = sorted({tried.run.lr for tried in sweep.tried if tried.score.failure is not None})
        if failed:
            said.append(f"{arm}: runs failed at {', '.join(f'{lr:g}' for lr in failed)}; these rates are out.")
    if rates.halvings:
        said.append(
            f"learning rates were chosen by successive halving, in the same way in every arm: all rates at "
            f"1/{2**rates.halvings} of the steps, then the better half of them at twice the steps, {rates.halvings} "
            "times; the optima are those of the shortest runs."
        )
    for key in ("commit", "versions", "hardware"):
        kinds = {str(outcome.manifest.get(key)) for outcome in found.outcomes.values() if outcome.manifest}
        if len(kinds) > 1:
            said.append(f"the runs were made with {len(kinds)} kinds of {key}; compare their manifests.")
    return said
