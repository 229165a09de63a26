"""LAY-1 and LAY-2: an adapter on attention against one on the MLPs of about as many parameters, and on all layers."""

from collections.abc import Sequence
from typing import NamedTuple

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.count import adapter_parameters
from rltk.recipe.schema import LoRA


class Arms(NamedTuple):
    everywhere: str
    mlp: str
    attention: str
    """That whose parameters are nearest to the MLPs'."""
    parameters: dict[str, int]


def attention_against_mlp(evidence: Sequence[Evidence]) -> Outcome:
    (one,) = evidence
    arms, margin = choose(one), one.conclusion["margin"]["value"]
    worse, low, high = mean_interval(one.better_S(arms.mlp, arms.attention), 0.95)
    apart, under, over = mean_interval(one.better_S(arms.everywhere, arms.mlp), 0.9)
    is_alike = -margin < under and over < margin
    verdict: Verdict = "inconclusive"
    if low > 0 and is_alike:
        verdict = "reproduced"
    elif high < 0 or under > margin or over < -margin:
        verdict = "not reproduced"
    counts = arms.parameters
    summary = (
        f"{arms.mlp} ({counts[arms.mlp]:,}) better than {arms.attention} ({counts[arms.attention]:,}) by {worse:+.4f}; "
        f"{arms.everywhere} better than {arms.mlp} by {apart:+.4f} [{under:+.4f}, {over:+.4f}], margin {margin:.4g}"
    )
    return Outcome(verdict, summary, worse, (low, high), {"parameters": counts, "all_less_mlp": [apart, under, over]})


def attention_inferior(evidence: Sequence[Evidence]) -> Outcome:
    """LAY-2: attention falls short of the MLPs by more than the margin."""
    (one,) = evidence
    arms, margin = choose(one), one.conclusion["margin"]["value"]
    short, low, high = mean_interval(one.better_S(arms.mlp, arms.attention), 0.9)
    everywhere, under, over = mean_interval(one.better_S(arms.everywhere, arms.mlp), 0.9)
    summary = (
        f"{arms.mlp} better than {arms.attention} by {100 * short:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], "
        f"{arms.everywhere} than {arms.mlp} by {100 * everywhere:+.1f} [{100 * under:+.1f}, {100 * over:+.1f}], margin "
        f"{100 * margin:.1f}"
    )
    verdict = shortfall_verdict((low, high), margin)
    details = {"parameters": arms.parameters, "all_less_mlp": [everywhere, under, over]}
    return Outcome(verdict, summary, short, (low, high), details)


def shortfall_verdict(interval: tuple[float, float], margin: float) -> Verdict:
    """Inferior where the whole 90 % interval lies beyond the margin, not inferior where all of it lies before."""
    low, high = interval
    return "reproduced" if low > margin else "not reproduced" if high < margin else "inconclusive"


def choose(one: Evidence) -> Arms:
    recipes = {arm: one.comparison.arms[arm] for arm in one.others}
    tunes = {arm: recipe.tune for arm, recipe in recipes.items() if isinstance(recipe.tune, LoRA)}
    by_place = {place: [arm for arm, tune in tunes.items() if tune.targets == place] for place in PLACES}
    missing = [place for place, arms in by_place.items() if not arms]
    if missing:
        raise UserError(f"{one.comparison.path} has no arm whose tune.targets is {missing[0]}, which is compared here.")
    shape = find_shape(one.comparison.recipe.model)
    counts = {arm: adapter_parameters(shape, tune) for arm, tune in tunes.items()}
    (everywhere, *_), (mlp, *_) = by_place["all-linear"], by_place["mlp"]
    attention = min(by_place["attention"], key=lambda arm: abs(counts[arm] - counts[mlp]))
    return Arms(everywhere, mlp, attention, counts)


PLACES = ("all-linear", "mlp", "attention")
