"""The committed cross-check is what our checker says today, and its labels are what they claim to be."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from rltk_eval.answers import grade_number

from benchmarks.crosscheck import CHECKERS, OUTPUTS, boxed, is_right, our_verdicts, row_sets, tally
from benchmarks.crosscheck_page import PAGE, page
from benchmarks.record import RESULTS
from tests.eval.written import CASES, PROBLEMS

pytestmark = pytest.mark.usefixtures("patient_checker")


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads((RESULTS / "crosscheck.json").read_text(encoding="utf-8"))


def test_our_counts_and_disagreements_are_what_the_checker_gives(committed: Any):
    sets = row_sets()
    assert list(sets) == list(committed["sets"]) and len(sets) == 3
    for name, rows in sets.items():
        found = committed["sets"][name]
        ours = our_verdicts(rows)["rltk"]
        assert found["counts"]["rltk"] == tally(rows, ours)
        assert (found["n"], found["correct"]) == (len(rows), sum(row.correct for row in rows))
        listed = {index: entry for entry in found["disagreements"] for index in entry["rows"]}
        for index, (row, verdict) in enumerate(zip(rows, ours, strict=True)):
            if index in listed:
                assert listed[index]["verdicts"]["rltk"] == verdict
                assert ("rltk" in listed[index]["right"]) == (verdict == row.correct)
            else:
                assert verdict == row.correct


def test_who_is_right_follows_from_the_label(committed: Any):
    for found in committed["sets"].values():
        counts = Counter[str]()
        for entry in found["disagreements"]:
            assert entry["right"] == [name for name, said in entry["verdicts"].items() if said == entry["correct"]]
            counts.update({name: len(entry["rows"]) for name in entry["verdicts"] if name not in entry["right"]})
        for name in CHECKERS:
            tallied = found["counts"][name]
            assert counts[name] == tallied["false_negative"] + tallied["false_positive"]
            assert tallied["asked"] == tallied["right"] + counts[name]


def test_the_page_is_made_of_the_committed_result(committed: Any):
    assert PAGE.read_text(encoding="utf-8") == page(committed)


def test_rltk_eval_gave_the_verdicts_that_are_kept():
    rows = [json.loads(line) for line in OUTPUTS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 1000
    assert [grade_number(row["completion"], row["gold"]).verdict.value for row in rows] == [r["verdict"] for r in rows]


def test_only_two_outputs_of_the_policy_do_not_end_in_hashes_and_a_number():
    """So that its being right can be told without reading numbers."""
    rows = row_sets()["embedded policy"]
    odd = [row.completion for row in rows if not re.fullmatch(r"#### \d+", row.completion.rpartition("\n")[2])]
    assert odd == [" = 12", "#### 2 tr has 24"]
    assert is_right("6 * 12 = 72\n#### 72", "72")
    assert not is_right("#### 72\n#### 7", "72") and not is_right("#### 172", "72")
    assert boxed("6 * 12\n#### 72") == "6 * 12\n\\boxed{72}" and boxed("72") == "72"


def test_the_hand_written_set_is_large_and_has_both_kinds_and_labels():
    kinds = Counter((case.kind, case.correct) for case in CASES)
    assert len(CASES) == len(set(CASES)) == sum(kinds.values()) >= 120
    assert len(kinds) == 4 and min(kinds.values()) >= 25
    assert all(problem.right and problem.wrong for problem in PROBLEMS)
