"""RM-3 and SC-2: how LoRA's gap to full fine-tuning goes with the training data, from one comparison a size.

Both fit L = A / n^b + E to each arm's confirmation runs, where L is the loss, or the share of items that are wrong
where accuracy is compared; see rltk_eval.scaling. Shapes: S seeds.
"""

from collections.abc import Sequence

from rltk_eval.metrics import Interval
from rltk_eval.scaling import Crossing, Fit, crossing, exponent_difference, fit_law
from rltk_eval.scaling_law import ScalingRun

from rltk.compare.evidence import Evidence, mean_interval
from rltk.compare.outcome import Outcome, Verdict, ends, verdict_of
from rltk.errors import UserError

FEW, MANY = 10_000, 100_000
"""LoRA is said to win below the one and full fine-tuning above the other."""
DRAWS = 1000
ONE_SIZE = 1.0
"""The law's other factor, which all runs share."""


def crosses(evidence: Sequence[Evidence]) -> Outcome:
    """RM-3: where LoRA stops being better, and whether the gap itself has the signs that the claim gives it."""
    ordered = sorted(evidence, key=rows_of)
    laws = fitted(ordered)
    reference = ordered[0].reference
    found = {arm: crossing(laws[arm], laws[reference], ONE_SIZE) for arm in ordered[0].others}
    gaps = {arm: {rows_of(one): gap(one, arm, len(ordered)) for one in ordered} for arm in found}
    judged = [judge(found[arm], gaps[arm]) for arm in found]
    arm = ordered[0].others[-1]
    summary = "; ".join(f"{name} {in_words(found[name], gaps[name])}" for name in found)
    where = found[arm]
    details = {
        "gaps": {name: {str(rows): list(three) for rows, three in by.items()} for name, by in gaps.items()},
        "crossings": {name: one._asdict() | {"interval": list(one.interval)} for name, one in found.items()},
        "laws": {name: fit.law._asdict() for name, fit in laws.items()},
    }
    verdict = verdict_of(is_shown=set(judged) == {"reproduced"}, is_refuted="not reproduced" in judged)
    is_there = where.problem is None
    return Outcome(verdict, summary, where.data if is_there else None, ends(where.interval), details)


def exponents(evidence: Sequence[Evidence]) -> Outcome:
    """SC-2: full fine-tuning's exponent of data less that of the last LoRA arm, with its 95 % bootstrap interval."""
    ordered = sorted(evidence, key=rows_of)
    laws, reference, arm = fitted(ordered), ordered[0].reference, ordered[0].others[-1]
    difference, interval = exponent_difference(laws[reference], laws[arm])
    where = crossing(laws[arm], laws[reference], ONE_SIZE)
    verdict = verdict_of(is_shown=interval.low > 0, is_refuted=interval.high < 0)
    beyond = ", extrapolated" if where.is_extrapolated else ""
    at = f"they cross at {where.data:,.0f} rows{beyond}" if where.problem is None else where.problem
    summary = (
        f"exponents {laws[reference].law.data_exponent:.3f} and {laws[arm].law.data_exponent:.3f} of {arm}, difference "
        f"{difference:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]; {at}"
    )
    details = {
        "laws": {name: fit.law._asdict() for name, fit in laws.items()},
        "crossing": where._asdict() | {"interval": list(where.interval)},
    }
    return Outcome(verdict, summary, difference, ends(interval), details)


def fitted(ordered: Sequence[Evidence]) -> dict[str, Fit]:
    """A law for each arm that all comparisons have, the reference among them."""
    arms = shared_arms(ordered)
    try:
        return {arm: fit_law(runs_of(ordered, arm), draws=DRAWS) for arm in arms}
    except ValueError as error:
        raise UserError(f"no law of the data can be fitted: {error}.") from error


def shared_arms(evidence: Sequence[Evidence]) -> list[str]:
    """Of the first comparison, the reference last; UserError where another has others."""
    first = evidence[0]
    arms = [*first.others, first.reference]
    for one in evidence[1:]:
        if [*one.others, one.reference] != arms:
            raise UserError(f"{one.comparison.path} has other arms than {first.comparison.path}.")
    return arms


def runs_of(ordered: Sequence[Evidence], arm: str) -> list[ScalingRun]:
    return [ScalingRun(ONE_SIZE, rows_of(one), loss) for one in ordered for loss in as_loss(one, arm)]


def as_loss(one: Evidence, arm: str) -> list[float]:
    """Of each confirmation run the loss, or the share of items that are wrong where accuracy is compared."""
    return [float(score if one.comparison.sign < 0 else 1 - score) for score in one.score_S(arm)]


def rows_of(one: Evidence) -> int:
    size = one.comparison.recipe.data.size
    if size is None:
        raise UserError(f"{one.comparison.path} trains on all rows there are; data.size says how many to compare by.")
    return size


def gap(one: Evidence, arm: str, sizes: int) -> tuple[float, float, float]:
    """By how much the arm is better than full fine-tuning: mean, low, high; all sizes hold together at 95 %."""
    return mean_interval(one.better_S(arm, one.reference), 1 - 0.05 / sizes)


def judge(where: Crossing, by_rows: dict[int, tuple[float, float, float]]) -> Verdict:
    """The claim gives the gap a sign below 10,000 rows and another beyond 100,000, and the crossing a place between."""
    below = [three for rows, three in by_rows.items() if rows <= FEW]
    above = [three for rows, three in by_rows.items() if rows >= MANY]
    is_elsewhere = where.problem is None and not overlap(where.interval, Interval(FEW, MANY))
    is_refuted = is_elsewhere or any(high < 0 for _, _, high in below) or any(low > 0 for _, low, _ in above)
    is_between = where.problem is None and where.interval.low >= FEW and where.interval.high <= MANY
    is_shown = is_between and any(low > 0 for _, low, _ in below) and any(high < 0 for _, _, high in above)
    return verdict_of(is_shown=is_shown, is_refuted=is_refuted)


def overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


def in_words(where: Crossing, by_rows: dict[int, tuple[float, float, float]]) -> str:
    at = ", ".join(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] at {rows:,}" for rows, (mean, low, high) in by_rows.items())
    if where.problem is not None:
        return f"{at}; {where.problem}"
    low, high = where.interval
    return f"{at}; crosses at {where.data:,.0f} rows [{low:,.0f}, {high:,.0f}]"
