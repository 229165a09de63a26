"""What the preferences of a recipe hold: pairs as they will be trained on, odd rows by kind, and repeats."""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerBase

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preference_text import preference_tokens
from rltk.data.preferences import KINDS, LoadedPreferences, Preference, load_preferences
from rltk.data.rows import is_file
from rltk.preflight.found import Found, Looked, Shown, of_rows
from rltk.preflight.repeats import repeats
from rltk.recipe.schema import Data, Recipe, RewardModel

HARMFUL = ("equal_sides", "different_requests", "empty_reply")
"""Kinds that a person should look at; the others are told."""


def look_at_pairs(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, max_length: int, *, most: int) -> Looked:
    """`most` pairs are shown; all are read, tokenized and counted. A length is that of the longer side."""
    loaded = load_preferences(source_of(recipe.data, recipe.data.train))
    rows = {pair.id: sides_tokens(pair, tokenizer) for pair in loaded.pairs}
    lengths = {id: max(map(len, sides)) for id, sides in rows.items()}
    shown = [
        Shown(pair.id, decoded(rows[pair.id][0], tokenizer), lengths[pair.id], f"(rejected) {pair.rejected}")
        for pair in loaded.pairs[:most]
    ]
    long = [id for id, length in lengths.items() if length > max_length]
    is_split = not is_file(recipe.data) and recipe.data.train != recipe.data.test
    test = load_preferences(source_of(recipe.data, recipe.data.test)).pairs if is_split else []
    found = [
        *of_long(long, max_length, is_cut=isinstance(recipe.algo, RewardModel)),
        *of_kinds(loaded),
        *repeats(texts(loaded.pairs), texts(test), what="pairs"),
    ]
    return Looked(shown, found, list(lengths.values()))


def of_long(ids: Sequence[str], max_length: int, *, is_cut: bool) -> list[Found]:
    """A reward model reads the last tokens of what is too long; other algorithms do without it."""
    what = f"pairs are longer than algo.max_length ({max_length})"
    if is_cut:
        return of_rows("note", "cut", f"{what}: the last tokens are read", ids)
    return of_rows("warning", "left_out", f"{what}: left out", ids)


def sides_tokens(pair: Preference, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Prompt and reply of each side."""
    found = preference_tokens(pair, tokenizer)
    return found.prompt + found.chosen, found.prompt + found.rejected


def decoded(tokens: list[int], tokenizer: PreTrainedTokenizerBase) -> str:
    text = tokenizer.decode(tokens)
    assert isinstance(text, str)
    return text


def texts(pairs: Sequence[Preference]) -> list[tuple[str, str]]:
    return [(pair.id, repr((pair.prompt, pair.chosen, pair.rejected))) for pair in pairs]


def of_kinds(loaded: LoadedPreferences) -> Iterator[Found]:
    for kind, ids in loaded.report.kinds.items():
        what = f"rows with {KINDS[kind].what}: {KINDS[kind].rule}"
        yield from of_rows("warning" if kind in HARMFUL else "note", kind, what, ids)


def source_of(data: Data, split: str) -> PreferenceSource:
    return PreferenceSource(
        data.path,
        split=split,
        config=data.config if isinstance(data.config, str) else None,
        data_dir=data.data_dir,
        chosen=data.chosen,
        rejected=data.rejected,
        prompt=data.prompt_column,
        margin=data.margin,
        noise=data.noise,
        size=data.size if split == data.train else None,
    )
