"""The unit in which an evaluation is drawn, kept and resumed: neighbouring problems that share a seed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from rltk.errors import UserError
from rltk.evaluation.items import Items, Row
from rltk.recipe.schema import EVAL_BLOCK
from rltk.seeds import derive

Report = Callable[[int, int], None]
"""Called with problems done and problems in all, a problem counting once for each way in which it is decoded."""


class Asked(Protocol):
    """A task: what is asked, each with an `id`."""

    @property
    def name(self) -> str: ...

    @property
    def problems(self) -> Sequence[Any]: ...


class Block(NamedTuple):
    decoding: str
    """greedy or sampled."""
    samples: int
    """Completions a problem."""
    temperature: float
    seed: int
    problems: Sequence[Any]

    def row_ids(self) -> list[tuple[str, str, int]]:
        """Decoding, problem and sample of each of its rows, in order."""
        return [(self.decoding, problem.id, sample) for problem in self.problems for sample in range(self.samples)]


def make_blocks(task: Asked, *, samples: int, temperature: float, seed: int) -> Iterator[Block]:
    """The greedy blocks, then the sampled ones, of as many problems as make EVAL_BLOCK completions.

    What is drawn for a sample is a function of the seed, the task, the problem's place in it and `samples`; neither the
    batch nor how many problems come after it changes that.
    """
    for decoding, each, heat in (("greedy", 1, 0.0), ("sampled", samples, temperature)):
        size = max(1, EVAL_BLOCK // max(1, each))
        for start in range(0, len(task.problems) if each else 0, size):
            stream = derive(seed, "evaluate", task.name, heat, start)
            yield Block(decoding, each, heat, stream, task.problems[start : start + size])


def fill(
    items: Items, blocks: Iterable[Block], name: str, make: Callable[[Block], Sequence[Row]], report: Report
) -> list[Row]:
    """All rows of the task `name`: the whole blocks that `items` holds, and the others, each kept as it is made."""
    found = list(blocks)
    kept, done, total = count_whole(found, items, name), 0, sum(len(block.problems) for block in found)
    items.keep(ends(found)[kept - 1] if kept else 0)
    for index, block in enumerate(found):
        if index >= kept:
            items.add(make(block))
        done += len(block.problems)
        report(done, total)
    return items.rows


def count_whole(blocks: Sequence[Block], items: Items, name: str) -> int:
    """How many of the blocks `items` holds; rows that are of other blocks, or in another order, are refused."""
    found = [(row.get("decoding"), row.get("id"), row.get("sample")) for row in items.rows]
    expected = [row_id for block in blocks for row_id in block.row_ids()]
    if found != expected[: len(found)]:
        raise UserError(f"{items.path} does not hold the rows of {name} in order; evaluate anew in another folder.")
    return sum(end <= len(found) for end in ends(blocks))


def ends(blocks: Sequence[Block]) -> list[int]:
    """The number of rows up to the end of each block."""
    total, found = 0, list[int]()
    for block in blocks:
        total += len(block.problems) * block.samples
        found.append(total)
    return found
