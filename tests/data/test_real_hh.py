"""What the real HH-RLHF rows hold is counted exactly; these rows are read beside the checkout and never copied."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preference_text import preference_text, preference_tokens
from rltk.data.preferences import LoadedPreferences, Preference, load_preferences
from rltk.data.transcripts import MARKERS, Message, read_transcript, write_transcript
from tests import tiny

OFFICIAL = {
    "equal_sides": 36,
    "different_prefix": 17,
    "repeated_turns": 27,
    "empty_reply": 11,
    "empty_turn": 2,
    "speaks_for_user": 2,
}
FOLDERS = {
    "harmless-base": 2312,
    "helpful-base": 2354,
    "helpful-online": 1137,
    "helpful-rejection-sampled": 2749,
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "Anthropic" / "hh-rlhf"


@pytest.fixture(scope="module")
def loaded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedPreferences]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield load_preferences(PreferenceSource(str(folder), split="test"))


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / name / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_every_row_is_counted_by_kind(loaded: LoadedPreferences) -> None:
    report = loaded.report
    assert (report.rows, report.pairs, report.used) == (8552, 8516, 8516)
    assert report.counts == OFFICIAL
    assert "8,552 rows gave 8,516 pairs. 36 with the same text on both sides (test/" in report.text


def test_every_transcript_survives_the_round_trip(folder: Path) -> None:
    texts = [text for name in FOLDERS for row in rows(folder, name) for text in row.values()]
    assert len(texts) == 2 * 8552
    assert all(write_transcript(read_transcript(text)) == text for text in texts)


def test_pairs_are_their_rows_word_for_word(loaded: LoadedPreferences, folder: Path) -> None:
    """Except where turns were joined, prompt and reply written as a transcript are the row's text."""
    texts = [row for name in FOLDERS for row in rows(folder, name)]
    joined = set(loaded.report.kinds["repeated_turns"])
    compared = 0
    for pair in (pair for pair in loaded.pairs if pair.id not in joined):
        row = texts[int(pair.id.removeprefix("test/"))]
        assert written(pair) == (row["chosen"], row["rejected"])
        compared += 1
    assert compared == 8516 - 27


def written(pair: Preference) -> tuple[str, str]:
    chosen, rejected = (
        write_transcript((*pair.prompt, Message("assistant", reply))) for reply in (pair.chosen, pair.rejected)
    )
    return chosen, rejected


def test_pairs_that_part_early_share_all_turns_up_to_the_users(loaded: LoadedPreferences) -> None:
    pairs = {pair.id: pair for pair in loaded.pairs}
    for id in loaded.report.kinds["different_prefix"]:
        assert pairs[id].prompt[-1].role == "user"
        assert "\n\n" in pairs[id].chosen + pairs[id].rejected


@pytest.mark.parametrize("has_template", [True, False])
def test_the_prompt_is_a_true_prefix_of_both_sides_in_tokens(loaded: LoadedPreferences, has_template: bool) -> None:
    tokens = tiny.tokenizer()
    tokens.chat_template = tokens.chat_template if has_template else None
    for pair in loaded.pairs[:: len(loaded.pairs) // 100]:
        text, ids = preference_text(pair, tokens), preference_tokens(pair, tokens)
        for side, said in ((ids.chosen, text.chosen), (ids.rejected, text.rejected)):
            assert tokens.encode(text.prompt + said, add_special_tokens=False) == ids.prompt + side
            assert side[-1] == tokens.eos_token_id


def test_replies_that_go_on_as_the_user_were_rejected(loaded: LoadedPreferences) -> None:
    """Were the user's turn cut off, the first of the two would be a pair with equal sides."""
    pairs = {pair.id: pair for pair in loaded.pairs}
    first, second = (pairs[id] for id in loaded.report.kinds["speaks_for_user"])
    assert first.rejected.startswith(first.chosen + MARKERS["user"])
    assert MARKERS["user"] in second.rejected and MARKERS["user"] not in second.chosen


@pytest.mark.parametrize("name", FOLDERS)
def test_each_folder_can_be_had_alone(
    name: str, folder: Path, loaded: LoadedPreferences, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    alone, report = load_preferences(PreferenceSource(str(folder), split="test", data_dir=name))
    assert report.rows == FOLDERS[name]
    start = sum(list(FOLDERS.values())[: list(FOLDERS).index(name)])
    ids = range(start, start + report.rows)
    whole = [pair for pair in loaded.pairs if int(pair.id.removeprefix("test/")) in ids]
    assert [pair[1:] for pair in alone] == [pair[1:] for pair in whole]
    assert all(pair.id.startswith(f"{name}/test/") for pair in alone)


def test_the_development_split(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made from the official test files without equal sides and empty replies; no opening turn is in both splits."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    path = str(shared_data / "local" / "hh-rlhf-test-resplit")
    train, test = (load_preferences(PreferenceSource(path, split=split)) for split in ("train", "test"))
    assert (len(train.pairs), len(test.pairs)) == (7250, 1255)
    assert train.report.counts == {
        "different_prefix": 13,
        "repeated_turns": 21,
        "empty_turn": 1,
        "speaks_for_user": 1,
    }
    assert test.report.counts == {"different_prefix": 4, "repeated_turns": 6, "speaks_for_user": 1}
    assert not {pair.prompt[0] for pair in train.pairs} & {pair.prompt[0] for pair in test.pairs}
