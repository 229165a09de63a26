"""Correct and incorrect completions become pairs: seeded, at most so many a problem, none twice, the rest counted."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rltk.data.pairs import PairReport, Sample, make_pairs, pair_places, read_samples
from rltk.data.preferences import Preference
from rltk.data.transcripts import Message
from rltk.errors import UserError
from tests import files


def asked(problem: str) -> tuple[Message, ...]:
    return (Message("user", f"What is {problem}?"),)


def samples(problem: str, *, right: str = "", wrong: str = "") -> list[Sample]:
    """One sample for each letter."""
    graded = [(letter, True) for letter in right] + [(letter, False) for letter in wrong]
    return [Sample(problem, asked(problem), letter, verdict) for letter, verdict in graded]


MIXED = [
    *samples("p", right="ab", wrong="xyzz"),
    *samples("q", right="ccd"),
    *samples("r", wrong="x"),
    *samples("s", right="e", wrong="x"),
]


def test_pairs_and_report() -> None:
    pairs, report = make_pairs(MIXED, per_problem=10, seed=0)
    assert [pair.id for pair in pairs] == [*(f"p/{index}" for index in range(6)), "s/0"]
    assert {(pair.chosen, pair.rejected) for pair in pairs[:6]} == {(c, w) for c in "ab" for w in "xyz"}
    assert pairs[6] == Preference("s/0", asked("s"), "e", "x")
    assert report == PairReport(pairs=7, problems=4, paired=2, all_correct=1, all_incorrect=1, duplicates=2)
    assert report.text == (
        "7 pairs from 2 of 4 problems. Problems without a pair: 1 with correct completions alone, 1 with incorrect "
        "ones alone. Samples left out because they repeat a completion: 2."
    )


@pytest.mark.parametrize(("right", "wrong"), [(1, 1), (1, 5), (4, 6), (6, 4), (3, 5), (6, 6)])
def test_all_places_come_once_and_both_sides_evenly(right: int, wrong: int) -> None:
    places = [pair_places(index, right, wrong) for index in range(right * wrong)]
    assert set(places) == {(c, w) for c in range(right) for w in range(wrong)}
    for most in range(1, len(places) + 1):
        for side, size in ((0, right), (1, wrong)):
            used = Counter(dict.fromkeys(range(size), 0))
            used.update(place[side] for place in places[:most])
            assert max(used.values()) - min(used.values()) <= 1


def test_no_more_than_asked_for_and_a_prefix_of_more() -> None:
    few, many = (make_pairs(MIXED, per_problem=count, seed=3).pairs for count in (2, 5))
    assert Counter(pair.id.partition("/")[0] for pair in few) == {"p": 2, "s": 1}
    assert [pair for pair in many if pair in few] == few
    assert len({pair.chosen for pair in few[:2]}) == len({pair.rejected for pair in few[:2]}) == 2
    with pytest.raises(ValueError, match="per_problem must be 1 or more, got 0"):
        make_pairs(MIXED, per_problem=0, seed=0)


def test_the_seed_and_the_problem_decide_and_nothing_else() -> None:
    wide = samples("p", right="abcdefgh", wrong="stuvwxyz")
    one, again, other = (make_pairs(wide, per_problem=4, seed=seed).pairs for seed in (0, 0, 1))
    assert one == again != other
    assert make_pairs([*MIXED[6:], *wide], per_problem=4, seed=0).pairs[-4:] == one
    elsewhere = make_pairs(samples("q", right="abcdefgh", wrong="stuvwxyz"), per_problem=4, seed=0).pairs
    assert [pair[2:4] for pair in elsewhere] != [pair[2:4] for pair in one]


def test_samples_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="problem p has one completion graded both correct and incorrect"):
        make_pairs(samples("p", right="a", wrong="a"), per_problem=1, seed=0)
    with pytest.raises(ValueError, match="problem p has samples of two different prompts"):
        make_pairs([*samples("p", right="a"), Sample("p", asked("q"), "b", False)], per_problem=1, seed=0)


ROW: dict[str, Any] = {"id": "p", "prompt": "What is p?", "completion": "a", "correct": True}


def test_samples_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    rows = [ROW, {**ROW, "prompt": [{"role": "user", "content": "What is p?"}], "completion": "", "correct": False}]
    files.jsonl(path, rows)
    assert read_samples(path) == [Sample("p", asked("p"), "a", True), Sample("p", asked("p"), "", False)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correct": "yes"}, "correct is 'yes'; true or false was expected"),
        ({"correct": None}, "correct is 'None'; true or false was expected"),
        ({"completion": None}, "completion is 'None'; text was expected"),
        ({"prompt": ""}, "prompt is ''; text or a list of messages"),
        ({"prompt": [{"role": "user"}]}, "prompt is .*; text or a list of messages"),
        ({"id": None}, "id is 'None'; text or a number"),
    ],
)
def test_a_damaged_sample_is_refused_by_its_line(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, **change}) + "\n")
    with pytest.raises(UserError, match=f"samples.jsonl, line 2: {said}"):
        read_samples(path)
