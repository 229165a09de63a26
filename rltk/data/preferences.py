"""Preference data: pairs of replies to one prompt, of which one was preferred, from any source, with a report.

The prompt is found: the longest common beginning, in whole turns, of the two conversations. A row that is not a plain
pair is of one or more of the `KINDS` below; each kind has its rule, is counted, and is named with examples in the
report. A row that is damaged is refused by file and row (`rltk.data.preference_rows`).
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from rltk.data.preference_rows import PreferenceSource, Sides, read_margin, read_sides, read_source, read_subset
from rltk.data.problems import hold_out
from rltk.data.transcripts import Message, Messages, common_turns, join_repeated
from rltk.embedded.dialogues import DialoguePair, dialogues
from rltk.errors import UserError
from rltk.recipe.locate import expanded
from rltk.recipe.schema import Data

EMBEDDED = "embedded/dialogues"
EMBEDDED_SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
EXAMPLES = 3
"""Ids of each kind that the report names."""


class Preference(NamedTuple):
    id: str
    """`test/667`: the split and the row, counted from 0."""
    prompt: Messages
    """What both replies answer; it ends with the user's turn."""
    chosen: str
    rejected: str
    margin: float | None = None
    """How much better the chosen reply is, where the source says so."""
    subset: str | None = None
    """Part of the source that accuracy is broken down by, as RewardBench names them."""

    def to_json(self) -> dict[str, Any]:
        """A row that `load_preferences` and TRL's trainers read; the replies are messages, as the prompt is."""
        chosen, rejected = ([Message("assistant", reply)._asdict()] for reply in (self.chosen, self.rejected))
        prompt = [message._asdict() for message in self.prompt]
        optional = {"margin": self.margin, "subset": self.subset}
        row = {"id": self.id, "prompt": prompt, "chosen": chosen, "rejected": rejected}
        return row | {key: value for key, value in optional.items() if value is not None}


class Kind(NamedTuple):
    what: str
    """It completes "36 rows with ..."."""
    rule: str


KINDS = {
    "equal_sides": Kind("the same text on both sides", "left out, as there is nothing to prefer"),
    "different_requests": Kind(
        "sides that part before the user's last turn", "left out, as they answer different prompts"
    ),
    "different_prefix": Kind(
        "sides that differ before the last turn, in turns of the assistant alone",
        "kept; all that follows the common turns is the reply",
    ),
    "repeated_turns": Kind("several turns of one role in a row", "kept; they are one turn, joined by empty lines"),
    "empty_reply": Kind("an empty reply on one side", "kept, as words or silence is a preference too"),
    "empty_turn": Kind("an empty turn before the reply", "kept as it is"),
    "speaks_for_user": Kind("a reply that goes on as the user", "kept; what it writes for the user is part of it"),
    "flipped_label": Kind("a label flipped on purpose", "kept, as this noise was asked for"),
}


class PreferenceReport(NamedTuple):
    source: str
    rows: int
    pairs: int
    """Rows that are not left out."""
    used: int
    """Pairs within the size that was asked for."""
    kinds: dict[str, list[str]]
    """Ids of the rows of each of the `KINDS`; a row may be of several. Kinds without rows are not here."""

    @property
    def counts(self) -> dict[str, int]:
        return {kind: len(ids) for kind, ids in self.kinds.items()}

    @property
    def text(self) -> str:
        """One paragraph."""
        first = f"{self.source}: {self.rows:,} rows gave {self.pairs:,} pairs"
        sentences = [first + (f", of which the first {self.used:,} are used" if self.used < self.pairs else "")]
        for kind, ids in self.kinds.items():
            examples = ", ".join(ids[:EXAMPLES]) + (", ..." if len(ids) > EXAMPLES else "")
            sentences.append(f"{len(ids):,} with {KINDS[kind].what} ({examples}): {KINDS[kind].rule}")
        return ". ".join(sentences) + "."


class LoadedPreferences(NamedTuple):
    pairs: list[Preference]
    report: PreferenceReport


class Compared(NamedTuple):
    """What one row comes to; no pair if it is of a kind that is left out."""

    id: str
    pair: Preference | None
    kinds: list[str]


def load_preferences(source: PreferenceSource) -> LoadedPreferences:
    """The pairs of a source in a fixed order, and what was found in its rows; there is at least one pair."""
    if source.path == EMBEDDED:
        return collect(source, embedded_rows(source))
    if source.noise:
        raise UserError(f"noise = {source.noise} is for {EMBEDDED} alone, and the preference data is {source.path}.")
    name = "/".join(part for part in (source.data_dir, source.split) if part)
    compared = [
        compare(f"{name}/{index}", read_sides(source, row), read_margin(source, row), read_subset(source, row))
        for index, row in enumerate(read_source(source))
    ]
    return collect(source, compared)


def preference_source(data: Data, split: str) -> PreferenceSource:
    """Where a recipe's preferences of one split, `train`, `validation` or `test`, are read from."""
    if isinstance(data.config, tuple):
        raise UserError(f"data.config = {list(data.config)}: preferences are of one configuration; name one of them.")
    if split == "test" and os.path.isfile(expanded(data.path)):
        raise UserError(
            f"{data.path} is one file, so nothing in it is held out: set data.validation to how many pairs to hold out "
            "and eval.split to validation."
        )
    names = {"train": data.train, "validation": "validation" if data.is_embedded else data.train, "test": data.test}
    return PreferenceSource(
        data.path,
        split=names[split],
        config=data.config,
        data_dir=data.data_dir,
        chosen=data.chosen,
        rejected=data.rejected,
        prompt=data.prompt_column,
        margin=data.margin,
        noise=data.noise if split == "train" else 0.0,
        size=data.size if split == "train" and not data.validation else None,
    )


def load_split(data: Data, split: str) -> LoadedPreferences:
    """The pairs of a recipe's split, and the report on all rows they were read from."""
    loaded = load_preferences(preference_source(data, split))
    if data.is_embedded or not data.validation or split == "test":
        return loaded
    held_out, rest = hold_out(loaded.pairs, data.validation)
    return loaded._replace(pairs=held_out if split == "validation" else rest[: data.size])


def embedded_rows(source: PreferenceSource) -> list[Compared]:
    if source.split not in EMBEDDED_SIZES:
        raise UserError(f"{EMBEDDED} has the splits {', '.join(EMBEDDED_SIZES)}, and not {source.split!r}.")
    try:
        pairs = dialogues(source.split, source.size or EMBEDDED_SIZES[source.split], noise=source.noise)
    except ValueError as error:
        raise UserError(f"{EMBEDDED}: {error}.") from error
    return [embedded_row(pair) for pair in pairs]


def embedded_row(pair: DialoguePair) -> Compared:
    preference = Preference(pair.id, pair.prompt, pair.chosen, pair.rejected)
    return Compared(pair.id, preference, ["flipped_label"] if pair.is_flipped else [])


def collect(source: PreferenceSource, rows: Sequence[Compared]) -> LoadedPreferences:
    pairs = [row.pair for row in rows if row.pair is not None]
    if not pairs:
        raise UserError(f"{source} has no pair to learn from: of its {len(rows):,} rows every one is left out.")
    found = {kind: [row.id for row in rows if kind in row.kinds] for kind in KINDS}
    kinds = {kind: ids for kind, ids in found.items() if ids}
    used = pairs[: source.size]
    return LoadedPreferences(used, PreferenceReport(str(source), len(rows), len(pairs), len(used), kinds))


def compare(id: str, sides: Sides, margin: float | None = None, subset: str | None = None) -> Compared:
    chosen, rejected = join_repeated(sides.chosen), join_repeated(sides.rejected)
    is_pair = len(chosen) == len(rejected) == common_turns(chosen, rejected) + 1
    replies = chosen[-1].content, rejected[-1].content
    pair = Preference(id, chosen[:-1], *replies, margin, subset) if is_pair else None
    return Compared(id, pair, kinds_of(sides, chosen, rejected, is_pair))


def kinds_of(sides: Sides, chosen: Messages, rejected: Messages, is_pair: bool) -> list[str]:
    """`chosen` and `rejected` are the sides with their repeated turns joined."""
    turns_before = [message for side in (chosen, rejected) for message in side[:-1]]
    applies = {
        "equal_sides": chosen == rejected,
        "different_requests": not is_pair and chosen != rejected,
        "different_prefix": is_pair and sides.chosen[:-1] != sides.rejected[:-1],
        "repeated_turns": (chosen, rejected) != (sides.chosen, sides.rejected),
        "empty_reply": not chosen[-1].content.strip() or not rejected[-1].content.strip(),
        "empty_turn": not all(message.content.strip() for message in turns_before),
        "speaks_for_user": sides.speaks_for_user,
    }
    return [kind for kind, does_apply in applies.items() if does_apply]


def fingerprint(pairs: Sequence[Preference]) -> str:
    """A hash of the pairs and their order, for the manifest."""
    digest = hashlib.blake2b(digest_size=8)
    for pair in pairs:
        digest.update(repr(tuple(pair)).encode())
    return digest.hexdigest()
