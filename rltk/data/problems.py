"""Problems for training and evaluation, from the hub, a folder, a file or the embedded generator.

Every row is checked before weights load: a missing column or a gold answer that cannot be read is refused by row.
"""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rltk_eval.answers import gold_answer

from rltk.embedded.word_problems import word_problems
from rltk.errors import UserError
from rltk.recipe.schema import Data

EMBEDDED_SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
FILE_READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}


class Problem(NamedTuple):
    id: str
    question: str
    answer: str
    """The gold answer as the answer reader canonically writes it: `1000`, not `$1,000`."""
    level: str | None = None


def load_problems(data: Data, split: str) -> list[Problem]:
    """The problems of one split, `train`, `validation` or `test`, in a fixed order."""
    if data.path == "embedded/word-problems":
        return embedded_problems(data, split)
    if split == "test":
        return read_split(data, data.test)
    problems = read_split(data, data.train)
    held_out, rest = hold_out(problems, data.validation)
    if split == "validation":
        if not held_out:
            raise UserError(f"{data.path} has no validation problems; set data.validation to how many to hold out.")
        return held_out
    return rest[: data.size]


def embedded_problems(data: Data, split: str) -> list[Problem]:
    size = data.size if split == "train" and data.size else EMBEDDED_SIZES[split]
    return [
        Problem(problem.id, problem.question, str(problem.answer), str(problem.level))
        for problem in word_problems(split, size, levels=data.levels)
    ]


def hold_out(problems: list[Problem], count: int) -> tuple[list[Problem], list[Problem]]:
    """`count` problems drawn once and for all, and the others; the run's seed does not move the border."""
    if count >= len(problems):
        raise UserError(f"data.validation = {count} would hold out all of the {len(problems)} training problems.")
    chosen = set(random.Random(0).sample(range(len(problems)), count))
    held_out = [problem for index, problem in enumerate(problems) if index in chosen]
    return held_out, [problem for index, problem in enumerate(problems) if index not in chosen]


def read_split(data: Data, split: str) -> list[Problem]:
    rows = open_rows(data, split)
    for key, column in (("data.question", data.question), ("data.answer", data.answer)):
        if column not in rows.column_names:
            raise UserError(
                f"{data.path} ({split}) has no column {column!r}, which {key} names; it has "
                f"{', '.join(rows.column_names)}."
            )
    if not len(rows):
        raise UserError(f"{data.path} ({split}) has no rows.")
    return [read_row(data, split, index, row) for index, row in enumerate(rows)]


def open_rows(data: Data, split: str) -> Any:
    """A `datasets.Dataset`, from the hub's id or folder layout or from a single file."""
    import datasets  # seconds to import, and the embedded problems need none of it

    path = Path(data.path).expanduser()
    reader = FILE_READERS.get(path.suffix)
    try:
        if reader and path.is_file():
            return datasets.load_dataset(reader, data_files=str(path), split="train")
        return datasets.load_dataset(str(path) if path.exists() else data.path, data.config, split=split)
    except (OSError, ValueError) as error:  # DatasetNotFoundError is an OSError, DatasetGenerationError too rare
        first_line = str(error).strip().split("\n")[0]
        raise UserError(
            f"data.path = {data.path!r}: split {split!r} could not be read ({first_line}); "
            "give a folder, a .jsonl or .parquet file, or a hub id while online."
        ) from error


def read_row(data: Data, split: str, index: int, row: dict[str, Any]) -> Problem:
    where = f"{data.path} ({split}), row {index}"
    question, answer = row[data.question], row[data.answer]
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{where}: {data.question} is {question!r}; a question in words was expected.")
    try:
        gold = gold_answer(str(answer))
    except ValueError as error:
        raise UserError(f"{where}: {data.answer} holds no gold answer ({error})") from error
    level = row.get("level")
    return Problem(f"{split}/{index}", question, gold, None if level is None else str(level))


def fingerprint(problems: Sequence[Problem]) -> str:
    """A hash of the problems and their order, for the manifest."""
    digest = hashlib.blake2b(digest_size=8)
    for problem in problems:
        digest.update(repr((problem.id, problem.question, problem.answer)).encode())
    return digest.hexdigest()


class Order:
    """Which problems a step trains on: a fresh shuffle each epoch, a function of seed and step and nothing else."""

    def __init__(self, problems: Sequence[Problem], *, seed: int) -> None:
        self.problems, self.seed, self.epoch, self.shuffled = problems, seed, -1, list[int]()

    def take(self, step: int, count: int) -> list[Problem]:
        """The problems of `step`, counted from 0; an epoch's last few and the next one's first may share a step."""
        return [self.at(position) for position in range(step * count, (step + 1) * count)]

    def at(self, position: int) -> Problem:
        epoch, index = divmod(position, len(self.problems))
        if epoch != self.epoch:
            self.epoch, self.shuffled = epoch, list(range(len(self.problems)))
            random.Random(f"{self.seed}/order/{epoch}").shuffle(self.shuffled)
        return self.problems[self.shuffled[index]]
