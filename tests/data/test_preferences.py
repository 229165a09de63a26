"""Pairs from every kind of source: the prompt is found, odd rows are counted by kind, damaged ones refused by row."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rltk.data.preference_rows import PreferenceSource
from rltk.data.preferences import LoadedPreferences, Preference, fingerprint, load_preferences
from rltk.data.transcripts import Message, Messages
from rltk.embedded.dialogues import dialogues
from rltk.errors import UserError
from tests import files

ASKED = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye?\n\nAssistant:"
PROMPT = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Bye?"))
PAIR = {"chosen": f"{ASKED} Bye!", "rejected": f"{ASKED} No."}


def load(folder: Path, *rows: dict[str, Any], **source: Any) -> LoadedPreferences:
    path = folder / "pairs.jsonl"
    files.jsonl(path, rows)
    return load_preferences(PreferenceSource(str(path), **source))


def messages(*turns: Message) -> list[dict[str, str]]:
    return [turn._asdict() for turn in turns]


def replied(prompt: Messages, reply: str) -> list[dict[str, str]]:
    return messages(*prompt, Message("assistant", reply))


SPEAKER = {"system": "system", "user": "human", "assistant": "gpt"}
WAYS = {
    "transcripts": PAIR,
    "messages": {"chosen": replied(PROMPT, "Bye!"), "rejected": replied(PROMPT, "No.")},
    "ShareGPT's messages": {
        side: [{"from": SPEAKER[one["role"]], "value": one["content"]} for one in replied(PROMPT, reply)]
        for side, reply in (("chosen", "Bye!"), ("rejected", "No."))
    },
    "prompt and replies": {"prompt": messages(*PROMPT), "chosen": "Bye!", "rejected": "No."},
    "prompt and reply messages": {
        "prompt": messages(*PROMPT),
        "chosen": replied((), "Bye!"),
        "rejected": replied((), "No."),
    },
    "prompt and conversations": {
        "prompt": messages(*PROMPT),
        "chosen": replied(PROMPT, "Bye!"),
        "rejected": f"{ASKED} No.",
    },
    "prompt as a transcript": {"prompt": ASKED.removesuffix("\n\nAssistant:"), "chosen": "Bye!", "rejected": "No."},
    "prompt that asks": {"prompt": ASKED, "chosen": " Bye!", "rejected": " No."},
    "no prompt in this row": {"prompt": None, **PAIR},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_a_pair_gives_the_same(way: str, tmp_path: Path) -> None:
    pairs, report = load(tmp_path, WAYS[way])
    assert pairs == [Preference("train/0", PROMPT, "Bye!", "No.")]
    assert report[1:] == (1, 1, 1, {})


def test_a_prompt_in_words_is_the_users_one_message(tmp_path: Path) -> None:
    pairs, _ = load(tmp_path, {"prompt": "Bye?", "chosen": " Bye!", "rejected": "No.\n\nHuman: Hm"})
    assert pairs == [Preference("train/0", (Message("user", "Bye?"),), " Bye!", "No.\n\nHuman: Hm")]


def test_a_conversation_may_have_a_system_message_that_its_prompt_lacks(tmp_path: Path) -> None:
    prompt = (Message("system", "Be brief."), Message("user", "Bye?"))
    row = {"prompt": "Bye?", "chosen": replied(prompt, "Bye!"), "rejected": replied(prompt, "No.")}
    assert load(tmp_path, row).pairs[0].prompt == prompt


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    row = {"q": "Bye?", "good": "Bye!", "bad": "No.", "gap": 2, "prompt": 7}
    pairs, _ = load(tmp_path, row, chosen="good", rejected="bad", prompt="q", margin="gap")
    assert pairs == [Preference("train/0", (Message("user", "Bye?"),), "Bye!", "No.", 2.0)]


@pytest.mark.parametrize("name", ["pairs.json", "pairs.parquet"])
def test_other_files_give_the_same(name: str, tmp_path: Path) -> None:
    rows = [WAYS["prompt and reply messages"]]
    if name.endswith(".json"):
        (tmp_path / name).write_text(json.dumps(rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    assert load_preferences(PreferenceSource(str(tmp_path / name))).pairs == load(tmp_path, PAIR).pairs


def test_a_folder_has_splits_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for folder, row in (("kind", PAIR), ("helpful", {"chosen": PAIR["rejected"], "rejected": PAIR["chosen"]})):
        (tmp_path / "set" / folder).mkdir(parents=True)
        (tmp_path / "set" / folder / "test.jsonl").write_text(json.dumps(row) + "\n")
    path = str(tmp_path / "set")
    both, report = load_preferences(PreferenceSource(path, split="test"))
    assert [pair.chosen for pair in both] == ["No.", "Bye!"]
    assert report.source == f"{path} (test)"
    one, report = load_preferences(PreferenceSource(path, split="test", data_dir="kind"))
    assert one == [Preference("kind/test/0", PROMPT, "Bye!", "No.")]
    assert report.source == f"{path} (kind/test)"
    for wrong in (PreferenceSource(path, split="test", data_dir="mean"), PreferenceSource(path, split="train")):
        with pytest.raises(UserError, match=r"could not be read \(.+\); give a folder"):
            load_preferences(wrong)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    pair = Preference("train/0", PROMPT, "Bye!", "", 0.5)
    assert load(tmp_path, pair.to_json(), margin="margin").pairs == [pair]
    assert "margin" not in pair._replace(margin=None).to_json()


def turns(*texts: str) -> str:
    return "".join(f"\n\n{'Assistant' if turn % 2 else 'Human'}: {text}" for turn, text in enumerate(texts))


KINDS = {
    "equal_sides": ((turns("a", "b"), turns("a", "b")), None),
    "different_requests": ((turns("a", "b", "c", "d"), turns("a", "b", "x", "d")), None),
    "different_prefix repeated_turns": ((turns("a", "b") + "\n\nAssistant: c", turns("a", "b")), ("b\n\nc", "b")),
    "repeated_turns": (
        (turns("a", "b") + "\n\nAssistant: c", turns("a", "b") + "\n\nAssistant: d"),
        ("b\n\nc", "b\n\nd"),
    ),
    "empty_reply": ((turns("a", "b"), turns("a", "")), ("b", "")),
    "empty_turn": ((turns("a", "", "c", "d"), turns("a", "", "c", "e")), ("d", "e")),
    "speaks_for_user": ((turns("a", "b"), turns("a", "b", "c")), ("b", "b\n\nHuman: c")),
    "speaks_for_user repeated_turns": (  # a prompt of two turns, and replies that both go on
        ("\n\nHuman: x" + turns("a", "b", "c") + "\n\nHuman: d", "\n\nHuman: x" + turns("a", "b", "e")),
        ("b\n\nHuman: c\n\nHuman: d", "b\n\nHuman: e"),
    ),
    "": ((turns("a", "b"), turns("a", "c")), ("b", "c")),
}


@pytest.mark.parametrize("kinds", KINDS)
def test_each_kind_has_its_rule(kinds: str, tmp_path: Path) -> None:
    (chosen, rejected), replies = KINDS[kinds]
    for sides in ((chosen, rejected), (rejected, chosen)):
        pairs, report = load(tmp_path, PAIR, dict(zip(("chosen", "rejected"), sides, strict=True)))
        assert report.counts == dict.fromkeys(kinds.split(), 1)
        assert (report.rows, report.pairs) == (2, 1 + (replies is not None))
        expected = None if replies is None else replies if sides == (chosen, rejected) else replies[::-1]
        assert [(pair.chosen, pair.rejected) for pair in pairs[1:]] == ([] if expected is None else [expected])


def test_conversations_that_part_early_are_different_requests(tmp_path: Path) -> None:
    row = {"chosen": turns("a", "b", "c", "d"), "rejected": turns("a", "b")}
    other = {"chosen": turns("a", "b"), "rejected": turns("x", "b")}
    assert load(tmp_path, PAIR, row, other).report.counts == {"different_requests": 2}


def test_the_report_names_counts_examples_and_rules(tmp_path: Path) -> None:
    equal = {"chosen": PAIR["chosen"], "rejected": PAIR["chosen"]}
    pairs, report = load(tmp_path, PAIR, equal, equal, equal, equal, PAIR, PAIR, size=2)
    assert len(pairs) == 2
    assert report.text == (
        f"{tmp_path / 'pairs.jsonl'}: 7 rows gave 3 pairs, of which the first 2 are used. 4 with the same text on both "
        "sides (train/1, train/2, train/3, ...): left out, as there is nothing to prefer."
    )


REFUSED = {
    "missing": ({"chosen": PAIR["chosen"]}, "line 2: rejected is missing."),
    "no text": ({**PAIR, "chosen": 7}, "line 2: chosen is 7; text or a list of messages was expected."),
    "no messages": ({**PAIR, "chosen": []}, r"line 2: chosen is \[\]; text or a list"),
    "no turns": ({**PAIR, "rejected": "plain"}, r"rejected is text without turns \(.plain.\); give a column 'prompt'"),
    "bad prompt": ({**PAIR, "prompt": " "}, 'prompt is " "; text or a list of messages was expected'),
    "number as prompt": ({**PAIR, "prompt": 3}, "prompt is 3; text or a list of messages was expected"),
    "other prompt": (
        {"prompt": "Hm?", "chosen": PAIR["chosen"], "rejected": "b"},
        "chosen is a conversation that does not begin with prompt",
    ),
    "role": (
        {"prompt": "a", "chosen": [{"role": "gpt", "content": "b"}], "rejected": "c"},
        r"message 0 of chosen is .*gpt.*; an object with a role \(system, user, assistant\)",
    ),
    "content": (
        {"prompt": "a", "chosen": "b", "rejected": [{"role": "assistant", "content": None}]},
        "message 0 of rejected is .*null.*content in words",
    ),
    "no reply": ({**PAIR, "chosen": turns("a")}, "chosen does not end with a reply of the assistant"),
    "no reply in messages": (
        {**PAIR, "rejected": messages(*PROMPT)},
        "rejected does not end with a reply of the assistant",
    ),
    "system alone": (
        {**PAIR, "rejected": messages(Message("system", "a"))},
        "rejected does not end with a reply of the assistant",
    ),
    "assistant first": (
        {**PAIR, "rejected": messages(Message("assistant", "a"), *PROMPT, Message("assistant", "b"))},
        r"rejected has its roles out of order \(assistant, user, assistant, user, assistant\)",
    ),
    "late system": (
        {**PAIR, "rejected": messages(PROMPT[0], Message("system", "a"), Message("assistant", "b"))},
        r"rejected has its roles out of order \(user, system, assistant\)",
    ),
    "margin": ({**PAIR, "gap": "wide"}, 'gap is "wide"; a number was expected'),
    "boolean margin": ({**PAIR, "gap": True}, "gap is true; a number was expected"),
    "infinite margin": ({**PAIR, "gap": float("nan")}, "gap is NaN; a number was expected"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_damaged_row_is_refused_by_its_line(fault: str, tmp_path: Path) -> None:
    row, said = REFUSED[fault]
    with pytest.raises(UserError, match=said) as raised:
        load(tmp_path, {**PAIR, "gap": 1}, row, margin="gap")
    assert str(raised.value).startswith(f"{tmp_path / 'pairs.jsonl'}, line 2: ")
    assert "\n" not in str(raised.value)


def test_sources_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no column 'better'; it has chosen, rejected\."):
        load(tmp_path, PAIR, chosen="better")
    with pytest.raises(UserError, match=r"has no column 'gap'; it has chosen, rejected\."):
        load(tmp_path, PAIR, margin="gap")
    with pytest.raises(UserError, match="is one file: data_dir = helpful-base is for a folder or a hub id"):
        load(tmp_path, PAIR, data_dir="helpful-base")
    with pytest.raises(UserError, match=r"noise = 0.1 is for embedded/dialogues alone"):
        load(tmp_path, PAIR, noise=0.1)
    with pytest.raises(UserError, match="has no pair to learn from: of its 1 rows every one is left out"):
        load(tmp_path, {"chosen": PAIR["chosen"], "rejected": PAIR["chosen"]})
    with pytest.raises(UserError, match="has no rows"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"preference data \./absent.jsonl does not exist"):
        load_preferences(PreferenceSource("./absent.jsonl"))


def test_embedded_dialogues_are_pairs_with_their_flips_counted() -> None:
    pairs, report = load_preferences(PreferenceSource("embedded/dialogues", split="test", size=200, noise=0.25))
    made = dialogues("test", 200, noise=0.25)
    assert [tuple(pair) for pair in pairs] == [(*pair[:4], None, None) for pair in made]
    flipped = [pair.id for pair in made if pair.is_flipped]
    assert 20 < len(flipped) < 80
    assert report.kinds == {"flipped_label": flipped}
    clean, report = load_preferences(PreferenceSource("embedded/dialogues", split="validation"))
    assert len(clean) == 2_000 and report.kinds == {}
    with pytest.raises(UserError, match=r"has the splits train, validation, test, and not 'dev'\."):
        load_preferences(PreferenceSource("embedded/dialogues", split="dev"))
    with pytest.raises(UserError, match="noise must be at least 0"):
        load_preferences(PreferenceSource("embedded/dialogues", noise=0.5))


def test_the_fingerprint_knows_every_pair_and_the_order() -> None:
    one, two = Preference("a", PROMPT, "b", "c"), Preference("d", PROMPT, "b", "c")
    prints = [fingerprint(pairs) for pairs in ([one, two], [two, one], [one], [one, two._replace(margin=1.0)])]
    assert len(set(prints)) == 4
    assert fingerprint([one, two]) == prints[0]
