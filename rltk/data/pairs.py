"""Preference pairs of a correct and an incorrect completion, from graded samples of a problem set.

From one problem with c correct and w incorrect distinct completions come min(per_problem, c * w) different pairs. They
use the completions of both sides as evenly as can be: each before any is used again. Which completions meet is decided
by the seed and the problem's id alone, so other problems of the set change nothing.
"""

import random
from collections.abc import Iterable, Sequence
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

from rltk.data.preferences import Preference
from rltk.data.rows import Row, read_file
from rltk.data.transcripts import Message, Messages
from rltk.errors import UserError
from rltk.seeds import derive


class Sample(NamedTuple):
    """A graded completion. One that no answer could be read from is not correct."""

    problem: str
    prompt: Messages
    """What the policy was asked, before any chat template."""
    completion: str
    correct: bool


class PairReport(NamedTuple):
    pairs: int
    problems: int
    paired: int
    """Problems with at least one pair."""
    all_correct: int
    """Problems without a pair, as no completion is incorrect."""
    all_incorrect: int
    duplicates: int
    """Samples left out because the same problem has the same completion already."""

    @property
    def text(self) -> str:
        return (
            f"{self.pairs:,} pairs from {self.paired:,} of {self.problems:,} problems. Problems without a pair: "
            f"{self.all_correct:,} with correct completions alone, {self.all_incorrect:,} with incorrect ones alone. "
            f"Samples left out because they repeat a completion: {self.duplicates:,}."
        )


class SampledPairs(NamedTuple):
    pairs: list[Preference]
    report: PairReport


def make_pairs(samples: Iterable[Sample], *, per_problem: int, seed: int) -> SampledPairs:
    """At most `per_problem` pairs of each problem, in the order in which the problems first appear."""
    if per_problem < 1:
        raise ValueError(f"per_problem must be 1 or more, got {per_problem}")
    problems: dict[str, list[Sample]] = {}
    for sample in samples:
        problems.setdefault(sample.problem, []).append(sample)
    distinct = {problem: distinct_samples(group) for problem, group in problems.items()}
    pairs = [pair for group in distinct.values() for pair in pairs_of_problem(group, per_problem, seed)]
    verdicts = [{sample.correct for sample in group} for group in distinct.values()]
    report = PairReport(
        pairs=len(pairs),
        problems=len(problems),
        paired=sum(len(seen) == 2 for seen in verdicts),
        all_correct=sum(seen == {True} for seen in verdicts),
        all_incorrect=sum(seen == {False} for seen in verdicts),
        duplicates=sum(map(len, problems.values())) - sum(map(len, distinct.values())),
    )
    return SampledPairs(pairs, report)


def distinct_samples(group: Sequence[Sample]) -> list[Sample]:
    """The first sample of each completion; ValueError if the prompt or the verdict is not the same for all."""
    first: dict[str, Sample] = {}
    for sample in group:
        if sample.prompt != group[0].prompt:
            raise ValueError(f"problem {sample.problem} has samples of two different prompts; give each its own id")
        if first.setdefault(sample.completion, sample).correct != sample.correct:
            raise ValueError(f"problem {sample.problem} has one completion graded both correct and incorrect")
    return list(first.values())


def pairs_of_problem(group: Sequence[Sample], most: int, seed: int) -> list[Preference]:
    problem, prompt = group[0].problem, group[0].prompt
    sides = [[sample.completion for sample in group if sample.correct is verdict] for verdict in (True, False)]
    draw = random.Random(derive(seed, "pairs", problem))
    for side in sides:
        draw.shuffle(side)
    right, wrong = sides
    places = [pair_places(index, len(right), len(wrong)) for index in range(min(most, len(right) * len(wrong)))]
    return [Preference(f"{problem}/{index}", prompt, right[c], wrong[w]) for index, (c, w) in enumerate(places)]


def pair_places(index: int, right: int, wrong: int) -> tuple[int, int]:
    """The `index`-th of all right * wrong pairs, in an order that goes around both sides evenly.

    Walking both sides in step comes back to the first pair after lcm(right, wrong) steps; each further round therefore
    shifts one side by one, which gives all pairs once.
    """
    rounds = index // lcm(right, wrong)
    return index % right, (index + rounds) % wrong


def read_samples(path: Path) -> list[Sample]:
    """The samples of a .jsonl, .json or .parquet file with the columns id, prompt, completion and correct."""
    return [read_sample(path, row) for row in read_file(path)]


def read_sample(path: Path, row: Row) -> Sample:
    id, prompt, completion, correct = (row.values.get(key) for key in ("id", "prompt", "completion", "correct"))
    for column, value, is_good, expected in (
        ("id", id, isinstance(id, str | int), "text or a number"),
        ("prompt", prompt, is_prompt(prompt), "text or a list of messages with role and content"),
        ("completion", completion, isinstance(completion, str), "text"),
        ("correct", correct, isinstance(correct, bool), "true or false"),
    ):
        if not is_good:
            raise UserError(f"{path}, {row.place}: {column} is {str(value)[:60]!r}; {expected} was expected.")
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    messages = tuple(Message(item["role"], item["content"]) for item in asked or [])
    return Sample(str(id), messages, str(completion), correct is True)


def is_prompt(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, list) and bool(value) and all(map(is_message, value))


def is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))
