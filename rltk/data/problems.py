"""Problems for training and evaluation, from the hub, a folder, a file or the embedded generator.

Every row is checked before weights load: a missing column or a gold answer that cannot be read is refused by row.
"""

import hashlib
import random
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Generic, NamedTuple, TypeVar

from rltk_eval.answers import Kind, gold_answer

from rltk.data.rows import Row, described, is_file, read_rows
from rltk.data.transcripts import Messages
from rltk.embedded.equations import equations
from rltk.embedded.word_problems import word_problems
from rltk.errors import UserError, tell
from rltk.recipe.schema import Data

T = TypeVar("T")
FEW = 0.001
"""Share of rows without a readable gold answer that is passed over: MATH has 2 among its 12,500, with an empty box."""
EMBEDDED_SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}


class Problem(NamedTuple):
    id: str
    question: str
    answer: str
    """The gold answer as the answer reader canonically writes it: `1000`, not `$1,000`; empty for a conversation."""
    level: str | None = None
    kind: Kind = "number"
    """How an answer to it is read."""
    subject: str | None = None
    messages: Messages = ()
    """The whole conversation where the prompt is more than a question; it has no answer, only rewards."""
    solution: str = ""
    """What the gold answer was read from: a worked solution, where the data has any, or the answer alone."""


def load_problems(data: Data, split: str, most: int | None = None) -> list[Problem]:
    """The problems of one split, `train`, `validation` or `test`, in a fixed order: all, or the first `most`."""
    if data.is_embedded:
        return embedded_problems(data, split, most)
    if split == "test":
        return read_split(data, data.test)[:most]
    return of_training_split(data, read_split(data, data.train), split)[:most]


def of_training_split(data: Data, problems: list[T], split: str) -> list[T]:
    """What of it is held out, for `validation`, or the first of the rest."""
    held_out, rest = hold_out(problems, data.validation)
    if split == "validation":
        if not held_out:
            raise UserError(f"{data.path} has no validation problems: evaluate on the test split, or hold some out.")
        return held_out
    return rest[: data.size]


def embedded_problems(data: Data, split: str, most: int | None) -> list[Problem]:
    size = embedded_size(data, split, most)
    try:
        if data.path == "embedded/equations":
            made = equations(split, size, levels=data.levels)
            return [
                Problem(p.id, p.question, p.answer, str(p.level), "math", p.subject, solution=p.solution) for p in made
            ]
        worded = word_problems(split, size, levels=data.levels)
        return [Problem(p.id, p.question, str(p.answer), str(p.level), solution=p.solution) for p in worded]
    except ValueError as error:
        raise UserError(f"data.size = {size}: {error}.") from error


def embedded_size(data: Data, split: str, most: int | None) -> int:
    """How many rows are made: no more than are asked for, since fewer are the first of more."""
    size = data.size if split == "train" and data.size else EMBEDDED_SIZES[split]
    return size if most is None else min(size, most)


def hold_out(rows: Sequence[T], count: int) -> tuple[list[T], list[T]]:
    """`count` rows drawn once and for all, and the others; the run's seed does not move the border."""
    if count >= len(rows):
        raise UserError(f"data.validation = {count} would hold out all of the {len(rows)} training problems.")
    chosen = set(random.Random(0).sample(range(len(rows)), count))
    held_out = [row for index, row in enumerate(rows) if index in chosen]
    return held_out, [row for index, row in enumerate(rows) if index not in chosen]


def read_split(data: Data, split: str) -> list[Problem]:
    """Ids count the rows of a split; where configurations are joined, those of each: `test/algebra/0`.

    Configurations take turns, so that the first problems are of all of them. Rows whose gold answer cannot be read are
    left out and said, if they are few; otherwise the first is refused.
    """
    columns: list[list[Problem]] = []
    unreadable: list[UnreadableGoldError] = []
    for part, prefix in parts(data, split):
        where, rows = described(part, split), read_rows(part, split, columns_of(part))
        columns.append([])
        for index, row in enumerate(rows):
            try:
                columns[-1].append(read_row(part, where, f"{prefix}/{index}", row))
            except UnreadableGoldError as error:
                unreadable.append(error)
    problems = [problem for turn in zip_longest(*columns) for problem in turn if problem is not None]
    if len(unreadable) > FEW * len(problems):
        raise unreadable[0]
    if unreadable:
        tell(f"{data.path}: {len(unreadable)} of {len(problems) + len(unreadable)} rows left out: {unreadable[0]}")
    return problems


class UnreadableGoldError(UserError):
    """A row whose gold answer the answer reader cannot read."""


def parts(data: Data, split: str) -> list[tuple[Data, str]]:
    """The data of each configuration, with what its ids begin with."""
    if not isinstance(data.config, tuple) or is_file(data):
        return [(data, split)]
    return [(data.model_copy(update={"config": config}), f"{split}/{config}") for config in data.config]


def columns_of(data: Data) -> dict[str, str]:
    return {"data.question": data.question, "data.answer": data.answer}


def read_row(data: Data, where: str, name: str, row: Row) -> Problem:
    question, answer = row.values.get(data.question), row.values.get(data.answer)
    if not isinstance(question, str) or not question.strip():
        given = "missing" if question is None else repr(question)
        raise UserError(f"{where}, {row.place}: {data.question} is {given}; a question in words was expected.")
    if answer is None:
        raise UserError(f"{where}, {row.place}: {data.answer} is missing.")
    try:
        gold = gold_answer(str(answer), kind=data.answer_kind)
    except ValueError as error:
        raise UnreadableGoldError(f"{where}, {row.place}: {data.answer} has {error}.") from error
    level, subject = short_level(row.values.get("level")), row.values.get(data.subject)
    named = None if subject is None else str(subject)
    return Problem(name, question, gold, level, data.answer_kind, named, solution=str(answer))


def short_level(level: object) -> str | None:
    """`5` for MATH's `Level 5`; what is not numbered, such as its `Level ?`, stays as written."""
    numbered = re.fullmatch(r"Level (\d+)", str(level))
    return numbered[1] if numbered else None if level is None else str(level)


def fingerprint(problems: Sequence[Problem]) -> str:
    """A hash of the problems and their order, for the manifest."""
    digest = hashlib.blake2b(digest_size=8)
    for problem in problems:
        digest.update(repr((problem.id, problem.question, problem.answer, problem.kind)).encode())
        if problem.messages:
            digest.update(repr(problem.messages).encode())
    return digest.hexdigest()


class Order(Generic[T]):
    """Which rows a step trains on: a fresh shuffle each epoch, a function of seed and step and nothing else."""

    def __init__(self, rows: Sequence[T], *, seed: int) -> None:
        self.rows, self.seed, self.epoch, self.shuffled = rows, seed, -1, list[int]()

    def take(self, step: int, count: int) -> list[T]:
        """The rows of `step`, counted from 0; an epoch's last few and the next one's first may share a step."""
        return [self.at(position) for position in range(step * count, (step + 1) * count)]

    def at(self, position: int) -> T:
        epoch, index = divmod(position, len(self.rows))
        if epoch != self.epoch:
            self.epoch, self.shuffled = epoch, list(range(len(self.rows)))
            random.Random(f"{self.seed}/order/{epoch}").shuffle(self.shuffled)
        return self.rows[self.shuffled[index]]


def used(rows: Sequence[T], count: int, *, seed: int) -> Sequence[T]:
    """The rows that the first `count` places of their order hold."""
    return rows if count >= len(rows) else Order(rows, seed=seed).take(0, count)
