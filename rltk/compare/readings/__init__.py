"""How findings are read from finished comparisons, by name; each is a function of the comparisons to an outcome."""

from collections.abc import Callable, Sequence

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome
from rltk.compare.readings import (
    batches,
    behaviour,
    collapse,
    courses,
    densities,
    falling,
    forgetting,
    grid,
    models,
    moved,
    needed,
    places,
    ranks,
    rates,
    room,
    sizes,
    variants,
    verdicts,
)

Reading = Callable[[Sequence[Evidence]], Outcome]

READINGS: dict[str, Reading] = {
    "alpha_rules": moved.alpha_rules,
    "attention_inferior": places.attention_inferior,
    "batches": batches.slopes,
    "behaviour": behaviour.alike,
    "collapses": collapse.collapses,
    "crosses": sizes.crosses,
    "departure": courses.departure,
    "doublings": room.doublings,
    "equivalent": verdicts.equivalent,
    "equivalent_throughout": densities.equivalent_throughout,
    "exponents": sizes.exponents,
    "extrapolates": grid.extrapolates,
    "fewer_parameters": needed.fewer_parameters,
    "forgets_less": forgetting.forgets_less,
    "formula_regret": moved.formula_regret,
    "gap_over_size": models.gap_over_size,
    "no_floor": falling.no_floor,
    "non_inferior": verdicts.non_inferior,
    "non_inferior_at_ratio": verdicts.non_inferior_at_ratio,
    "parameters_a_token": room.parameters_a_token,
    "places": places.attention_against_mlp,
    "rank_exponent": room.rank_exponent,
    "ranks_alike": ranks.ranks_alike,
    "ranks_share_a_rate": ranks.ranks_share_a_rate,
    "rate_ratio": rates.ratio,
    "rate_width": rates.width,
    "same_course": courses.same_course,
    "shorter_runs": moved.shorter_runs,
    "straight": falling.straight,
    "variants": variants.at_both_rates,
    "width_exponent": models.width_exponent,
}
