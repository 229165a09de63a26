"""How findings are read from finished comparisons, by name; each is a function of the comparisons to an outcome."""

from collections.abc import Callable, Sequence

from rltk.compare.evidence import Evidence
from rltk.compare.outcome import Outcome
from rltk.compare.readings import batches, behaviour, courses, places, rates, verdicts

Reading = Callable[[Sequence[Evidence]], Outcome]

READINGS: dict[str, Reading] = {
    "batches": batches.slopes,
    "behaviour": behaviour.alike,
    "departure": courses.departure,
    "equivalent": verdicts.equivalent,
    "non_inferior": verdicts.non_inferior,
    "non_inferior_at_ratio": verdicts.non_inferior_at_ratio,
    "places": places.attention_against_mlp,
    "ranks_share_a_rate": rates.ranks_share_a_rate,
    "rate_ratio": rates.ratio,
    "rate_width": rates.width,
    "same_course": courses.same_course,
}
