"""Tasks of preference pairs by name: hh-rlhf, dialogues, heldout (the run's own data), a file or a folder."""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preferences import EMBEDDED, Preference, fingerprint, load_preferences, load_split
from rltk.data.tasks import HELDOUT, in_root, rooted, short_name
from rltk.errors import UserError, suggestion
from rltk.recipe.locate import expanded, near_file
from rltk.recipe.schema import PREFERENCE_TASKS, Data

HH = "Anthropic/hh-rlhf"
HH_FOLDERS = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")


class PairTask(NamedTuple):
    name: str
    """As it appears in scores.json."""
    source: str
    """What was read, in words."""
    pairs: list[Preference]
    notes: tuple[str, ...]
    """What was found in the rows, a paragraph a source."""

    @property
    def hash(self) -> str:
        return fingerprint(self.pairs)


class Reading(NamedTuple):
    """How tasks are read."""

    data: Data | None
    """Of the run that is evaluated: its held-out pairs, and the columns of a task given by path."""
    split: str
    limit: int | None
    root: str | None
    """Folder that holds data sets under their hub ids, in place of the hub."""
    data_dir: str | None
    sampled: Path | None = None
    """The held-out pairs of a run on problems."""


def load_pair_tasks(names: Sequence[str], reading: Reading) -> list[PairTask]:
    """The first `limit` pairs of each task."""
    tasks = [load_task(name, reading) for name in names]
    refuse_namesakes([task.name for task in tasks])
    return tasks


def refuse_namesakes(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two tasks would both be reported as {name}; evaluate on one of them.")


def load_task(name: str, reading: Reading) -> PairTask:
    """Sources take turns, so that the first pairs are of all of them; the folder of each is the pairs' subset."""
    if name == HELDOUT:
        return load_heldout(reading)
    sources = sources_of(name, reading)
    loaded = [load_preferences(source) for source in sources]
    columns = [found.pairs for found in loaded]
    if len(sources) > 1:
        named = zip(sources, loaded, strict=True)
        columns = [[pair._replace(subset=source.data_dir) for pair in found.pairs] for source, found in named]
    pairs = [pair for turn in zip_longest(*columns) for pair in turn if pair is not None]
    shown = name if name in PREFERENCE_TASKS else short_name(sources[0].path)
    return PairTask(shown, sources[0].path, pairs[: reading.limit], tuple(found.report.text for found in loaded))


def load_heldout(reading: Reading) -> PairTask:
    """The pairs that the run held out; of problems those that were sampled when it was trained."""
    data = reading.data
    assert data is not None
    if data.kind == "preferences":
        loaded = load_split(rooted(data, reading.root), reading.split)
    else:
        loaded = load_preferences(PreferenceSource(str(reading.sampled)))
    return PairTask(short_name(data.path), data.path, loaded.pairs[: reading.limit], (loaded.report.text,))


def sources_of(name: str, reading: Reading) -> list[PreferenceSource]:
    if name == "dialogues":
        return [PreferenceSource(EMBEDDED, split=reading.split)]
    if name == "hh-rlhf" or is_hh(name):
        path = in_root(HH, reading.root) if name == "hh-rlhf" else name
        return by_folder(PreferenceSource(path, split=reading.split, data_dir=reading.data_dir))
    if not os.path.exists(expanded(name)):
        ending = suggestion(name, PREFERENCE_TASKS, otherwise="choose one of")
        if "/" in name or "." in name:
            raise UserError(f"task {name} does not exist{near_file(expanded(name))}")
        raise UserError(f"task {name} is neither a folder, a file of pairs nor a task of pairs; {ending}")
    source = PreferenceSource(name, split=reading.split, data_dir=reading.data_dir)
    return [source if reading.data is None else with_columns(source, reading.data)]


def by_folder(source: PreferenceSource) -> list[PreferenceSource]:
    """HH-RLHF's four folders, each a source of its own, unless one is named."""
    folders = HH_FOLDERS if source.data_dir is None else (source.data_dir,)
    return [replace(source, data_dir=folder) for folder in folders]


def with_columns(source: PreferenceSource, data: Data) -> PreferenceSource:
    """Read as the recipe's own pairs are."""
    if data.is_embedded or data.kind != "preferences":
        return source
    return replace(source, chosen=data.chosen, rejected=data.rejected, prompt=data.prompt_column)


def is_hh(name: str) -> bool:
    """Whether a folder holds HH-RLHF, in its own four folders."""
    return all((expanded(name) / folder).is_dir() for folder in HH_FOLDERS)
