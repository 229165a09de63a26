"""A decision in one plain sentence, and as JSON. The same decision gives the same bytes."""

from math import isfinite, isnan

from rltk_eval.equivalence.assay import AssayResult
from rltk_eval.equivalence.power import Claim
from rltk_eval.equivalence.scores import Pairs
from rltk_eval.equivalence.verdict import Decision, Verdict
from rltk_eval.metrics import Interval

_SAYS = {
    Verdict.EQUIVALENT: "{arm} is equivalent to {reference}",
    Verdict.DIFFERENT_WITHIN_MARGIN: "{arm} differs from {reference}, by less than the margin",
    Verdict.NON_INFERIOR: "{arm} is not inferior to {reference}, and not shown to be equivalent",
    Verdict.SUPERIOR: "{arm} is better than {reference}",
    Verdict.INFERIOR: "{arm} is inferior to {reference}",
    Verdict.INCONCLUSIVE: "{arm} against {reference} is undecided",
    Verdict.ASSAY_INSENSITIVE: "nothing can be said of {arm} against {reference}",
}


def sentence(decision: Decision) -> str:
    """The verdict with its difference, interval, margin, seeds and items, and what is missing where it is undecided."""
    pairs = decision.pairs
    says = _SAYS[decision.verdict].format(arm=pairs.arm, reference=pairs.reference)
    parts = [f"{says}: {_difference(decision)}", _sample(pairs), *_missing(decision)]
    return "; ".join(parts) + "."


def to_json(decision: Decision) -> dict[str, object]:
    """The decision for a JSON file; null for what is undefined, numbers to 10 digits so that no platform differs."""
    pairs = decision.pairs
    return {
        "verdict": decision.verdict.value,
        "sentence": sentence(decision),
        "arm": pairs.arm,
        "reference": pairs.reference,
        "higher_is_better": pairs.higher_is_better,
        "difference": _number(decision.paired.mean),
        "sd": _number(decision.paired.sd),
        "alpha": _number(decision.alpha),
        "interval": _bounds(decision.interval),
        "interval_two_sided": _bounds(decision.interval_two_sided),
        "margin": _number(decision.margin.value),
        "margin_rule": decision.margin.rule,
        "margin_achieved": _number(decision.margin_achieved),
        "p": {name: _number(p) for name, p in decision.p._asdict().items()},
        "seeds": list(pairs.seeds),
        "dropped_seeds": {pairs.arm: list(pairs.dropped_arm), pairs.reference: list(pairs.dropped_reference)},
        "items": None if pairs.items is None else len(pairs.items),
        "clusters": None if pairs.clusters is None else len(set(pairs.clusters)),
        "seeds_if_equal": decision.seeds_if_equal,
        "seeds_as_observed": decision.seeds_as_observed,
        "seeds_needed": {claim.value: seeds for claim, seeds in decision.seeds_needed.items()},
        "new_items": {
            "verdict": None if decision.new_items is None else decision.new_items.value,
            "interval": _bounds(decision.new_items_interval),
        },
        "assay": _assay(decision.assay),
    }


def _difference(decision: Decision) -> str:
    """The difference, its interval and how that stands to the margin."""
    low, high = decision.interval
    if isnan(low):
        return f"difference {decision.paired.mean:+.4g}, margin {decision.margin.value:.4g}"
    confidence = f"{100 * (1 - 2 * decision.alpha):g} % interval"
    return (
        f"difference {decision.paired.mean:+.4g}, {confidence} {low:+.4g} to {high:+.4g}, "
        f"margin {decision.margin.value:.4g}"
    )


def _sample(pairs: Pairs) -> str:
    items = "" if pairs.items is None else f", {_plural(len(pairs.items), 'item')}"
    dropped = len(pairs.dropped_arm) + len(pairs.dropped_reference)
    unpaired = f" ({_plural(dropped, 'seed')} without a partner left out)" if dropped else ""
    return f"{_plural(len(pairs.seeds), 'paired seed')}{unpaired}{items}"


def _missing(decision: Decision) -> list[str]:
    """Why there is no verdict, and what it would take."""
    if decision.verdict is Verdict.ASSAY_INSENSITIVE:
        return [str(decision.assay.problem)]
    if decision.verdict not in (Verdict.INCONCLUSIVE, Verdict.NON_INFERIOR):
        return []
    if decision.paired.seeds < 2:
        return ["one seed shows nothing of how runs differ, so at least 2 are needed"]
    if isnan(decision.paired.se):
        return ["every seed gave the same difference, so there is no spread to judge from: ceiling, or copied runs"]
    return [f"the smallest margin these runs could show is {decision.margin_achieved:.4g}", _seeds(decision)]


def _seeds(decision: Decision) -> str:
    """What more seeds would show: first what the observed difference speaks for, and then if the arms are equal."""
    arm, difference, margin = decision.pairs.arm, decision.paired.mean, decision.margin.value
    if abs(difference) >= margin:
        is_better = difference > 0
        claim, says = (Claim.SUPERIOR, "better") if is_better else (Claim.INFERIOR, "inferior")
        return (
            "no number of seeds shows equivalence if the arms differ as observed, which is by the margin or more; "
            f"{_more(decision, decision.seeds_needed[claim])} would show that {arm} is {says}"
        )
    parts = [f"{_more(decision, decision.seeds_as_observed)} would show equivalence with 80 % power as observed"]
    if decision.verdict is Verdict.INCONCLUSIVE:
        parts.append(f"{_more(decision, decision.seeds_needed[Claim.NON_INFERIOR])} that {arm} is not inferior")
    parts.append(f"{_more(decision, decision.seeds_if_equal)} equivalence if the arms are equal")
    return ", ".join(parts)


def _more(decision: Decision, seeds: int | None) -> str:
    """At least one, since those at hand have not shown it."""
    if seeds is None:
        return "no attainable number of seeds"
    return _plural(max(seeds - decision.paired.seeds, 1), "more seed")


def _assay(assay: AssayResult) -> dict[str, object]:
    return {
        "sensitive": assay.problem is None,
        "problem": assay.problem,
        "gain": _number(assay.gain),
        "gain_interval": _bounds(assay.gain_interval),
        "minimum_gain": _number(assay.minimum_gain),
        "control_difference": None if assay.control_difference is None else _number(assay.control_difference),
        "control_interval": None if assay.control_interval is None else _bounds(assay.control_interval),
    }


def _bounds(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]


def _number(value: float) -> float | None:
    return float(f"{value:.10g}") if isfinite(value) else None


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
