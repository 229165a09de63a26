"""Which examples each step of a run takes, as token ids, and how they are cut into micro-batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import isfinite
from typing import Any

from datasets import Dataset

from rltk.data.problems import Order
from rltk.distributed import world
from rltk.models.capacity import loss_bits, preference_bits
from rltk.offline.rows import Lesson, Pair
from rltk.recipe.schema import Offline, Recipe


@dataclass(frozen=True)
class Course:
    rows: Sequence[Lesson] | Sequence[Pair]
    """Those that some step takes."""
    places: list[list[int]]
    """Of each step: where in `rows` its examples are."""

    @property
    def dataset(self) -> Dataset:
        return Dataset.from_list([row.to_row() for row in self.rows])

    def order(self, step: int, tokens: int) -> list[int]:
        """The places that the steps from `step` on take, one after the other.

        Of several processes the first gets the first micro-batch, the second the next, and so on in turns: those that
        are computed side by side are made to be of similar length.
        """
        hands, micro = world.size(), self.micro_batch(tokens)
        if hands == 1:
            return list(chain.from_iterable(self.places[step:]))
        return list(chain.from_iterable(self.side_by_side(places, hands, micro) for places in self.places[step:]))

    def side_by_side(self, places: Sequence[int], hands: int, micro: int) -> Iterator[int]:
        ranked = sorted(places, key=lambda place: -self.rows[place].width)
        for start in range(0, len(ranked), hands * micro):
            for hand in range(hands):
                yield from ranked[start + hand : start + hands * micro : hands]

    def learned(self, step: int) -> int:
        """Tokens of the replies that the step learns from."""
        return sum(self.rows[place].learned for place in self.places[step])

    @cached_property
    def first_step(self) -> dict[int, int]:
        """Which step takes an example first, by its place."""
        return {place: step for step in reversed(range(len(self.places))) for place in self.places[step]}

    def news(self, step: int) -> float:
        """Share of the step's examples that no earlier step has taken."""
        now = self.places[step]
        return sum(self.first_step[place] == step for place in now) / len(now)

    def bits(self, step: int, mean_nats: float) -> float:
        """Bits that the step offers to be learned, each example when first seen; a loss of no number offers none."""
        if not isfinite(mean_nats):
            return 0.0
        if isinstance(self.rows[0], Lesson):
            return self.news(step) * loss_bits(mean_nats, self.learned(step))
        return preference_bits(round(self.news(step) * len(self.places[step])))

    def micro_batch(self, tokens: int) -> int:
        """The most examples at once that divide a process's share of a step evenly and, padded, are no more tokens than
        that; at least 1."""
        batch, widest = len(self.places[0]) // world.size(), max(row.width for row in self.rows)
        sizes = [size for size in range(1, batch + 1) if batch % size == 0 and size * widest <= tokens]
        return max(sizes, default=1)


def make_course(recipe: Recipe, examples: Sequence[Any], read: Callable[[Any], Any]) -> Course:
    """`read` gives an example's token ids."""
    assert isinstance(recipe.algo, Offline)
    order = Order(range(len(examples)), seed=recipe.seed)
    steps = [order.take(step, recipe.algo.batch) for step in range(recipe.optim.steps)]
    used = {number: place for place, number in enumerate(dict.fromkeys(chain.from_iterable(steps)))}
    rows = [read(examples[number]) for number in used]
    return Course(rows, [[used[number] for number in step] for step in steps])
