"""Rows of graded completions."""

import json

import pytest
from rltk_eval.answers import Verdict
from rltk_eval.grading import Completion, Item, grade_by_kind, grade_items, read_row

ITEMS = [
    Item("a", "6 boxes of 12 pens?", "6 * 12 = 72\n#### 72", level="1"),
    Item("b", "500 twice?", "1,000", level="2", subject="doubling"),
    Item("c", "Half of 1.5?", "0.75", level="2"),
]


def said(text: str, tokens: int = 10, truncated: bool = False) -> Completion:
    return Completion(text, tokens, truncated)


ONE_EACH = [[said("#### 72", 10)], [said("#### 999", 20)], [said("I wonder", 60, truncated=True)]]
TWO_EACH = [[said("#### 72"), said("#### 72")], [said("#### 1000"), said("#### 1")], [said("#### 1"), said("?")]]


def test_a_row_says_what_was_read_and_is_json():
    row = grade_items(ITEMS, ONE_EACH)[1].to_json()
    assert json.loads(json.dumps(row)) == {
        "id": "b",
        "sample": 0,
        "prompt": "500 twice?",
        "completion": "#### 999",
        "answer": "999",
        "gold": "1000",
        "verdict": "incorrect",
        "correct": False,
        "tokens": 20,
        "truncated": False,
        "level": "2",
        "subject": "doubling",
    }


def test_samples_are_counted_from_0_item_by_item():
    results = grade_items(ITEMS, TWO_EACH)
    assert [(result.item.id, result.sample) for result in results] == [(i, s) for i in "abc" for s in (0, 1)]
    assert [result.correct for result in results] == [True, True, True, False, False, False]


def test_a_row_gives_its_result_back():
    for result in grade_items(ITEMS, TWO_EACH):
        again = read_row(json.loads(json.dumps(result.to_json())))
        assert again.to_json() == result.to_json() and again.correct == result.correct
    row = {**grade_items(ITEMS, ONE_EACH)[0].to_json()}
    with pytest.raises(ValueError, match="a row without verdict"):
        read_row({key: value for key, value in row.items() if key != "verdict"})
    with pytest.raises(ValueError, match="right"):
        read_row({**row, "verdict": "right"})


def test_a_batch_is_graded_in_order():
    texts, golds = ["#### 1", "#### 2", "?"], ["1", "1", "1"]
    found = grade_by_kind(texts, golds, ("number", "number", "number"))
    assert [grade.verdict for grade in found] == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNREADABLE]
    assert grade_by_kind([], [], []) == []


def test_a_truncated_completion_whose_answer_reads_is_graded():
    result = grade_items(ITEMS[:1], [[said("#### 72\nWait, let me", truncated=True)]])[0]
    assert result.correct
    assert result.to_json()["truncated"]


def test_strict_reads_only_marked_answers():
    completions = [[said("It is 72.")]]
    assert grade_items(ITEMS[:1], completions)[0].correct
    assert grade_items(ITEMS[:1], completions, strict=True)[0].verdict is Verdict.UNREADABLE


def test_kinds_may_be_mixed_and_keep_their_order():
    items = [
        Item("m", "Square?", r"So it is $\boxed{x^2+2x+1}$.", kind="math"),
        Item("n", "6 boxes of 12?", "#### 72"),
        Item("l", "Roots?", "1, 2", kind="math"),
    ]
    completions = [[said(r"\boxed{(x+1)^2}"), said("?")], [said("#### 72")], [said(r"\boxed{2,1}"), said(r"\boxed{1}")]]
    results = grade_items(items, completions)
    assert [result.verdict.value for result in results] == ["correct", "unreadable", "correct", "correct", "incorrect"]
    assert [(result.item.id, result.sample, result.gold) for result in results[::2]] == [
        ("m", 0, "x^2+2x+1"),
        ("n", 0, "72"),
        ("l", 1, "1, 2"),
    ]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="item 'x': no gold answer in 'about six'"):
        grade_items([Item("x", "?", "about six")], [[said("6")]])
    with pytest.raises(ValueError, match="item 'y': no gold answer in"):
        grade_items([Item("y", "?", r"\\boxed{}", kind="math")], [[said("6")]])
    with pytest.raises(ValueError, match="item 'a' has no completions"):
        grade_items(ITEMS[:1], [[]])
    with pytest.raises(ValueError, match="unique"):
        grade_items([ITEMS[0], ITEMS[0]], [[said("1")], [said("1")]])
    with pytest.raises(ValueError, match="3 items but 2 lists"):
        grade_items(ITEMS, ONE_EACH[:2])
