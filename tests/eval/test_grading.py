"""Rows and summaries of graded completions."""

import json
from dataclasses import replace
from math import isnan

import pytest
from rltk_eval.answers import Verdict
from rltk_eval.grading import Completion, Item, grade_items, summarize, summary_to_json
from rltk_eval.metrics import clustered_interval, wilson

ITEMS = [
    Item("a", "6 boxes of 12 pens?", "6 * 12 = 72\n#### 72", level="1"),
    Item("b", "500 twice?", "1,000", level="2"),
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
    }


def test_one_sample_an_item():
    summary = summarize(grade_items(ITEMS, ONE_EACH))
    assert summary == {
        "accuracy": pytest.approx(1 / 3),
        "ci95": pytest.approx([*wilson(1, 3)]),
        "n": 3,
        "samples": 3,
        "correct": pytest.approx(1 / 3),
        "unreadable": pytest.approx(1 / 3),
        "timeout": 0,
        "truncated": pytest.approx(1 / 3),
        "mean_tokens": 30,
        "by_level": {"1": {"accuracy": 1.0, "n": 1}, "2": {"accuracy": 0.0, "n": 2}},
    }


def test_several_samples_an_item_are_clustered():
    results = grade_items(ITEMS, TWO_EACH)
    summary = summarize(results)
    assert [(result.item.id, result.sample) for result in results] == [(i, s) for i in "abc" for s in (0, 1)]
    assert (summary["n"], summary["samples"]) == (3, 6)
    assert summary["accuracy"] == pytest.approx(0.5)
    low, high = clustered_interval([[1, 1], [1, 0], [0, 0]])
    assert low < 0 < 1 < high  # an accuracy's interval is cut at what an accuracy can be
    assert summary["ci95"] == [0.0, 1.0]
    assert summary["by_level"]["2"] == {"accuracy": 0.25, "n": 2}


def test_no_success_in_many_samples_is_not_certainty():
    summary = summarize(grade_items(ITEMS, [[said("?")] * 8] * 3))
    assert summary["accuracy"] == 0
    assert summary["ci95"] == pytest.approx([*wilson(0, 3)])


def test_uneven_samples_weigh_items_alike():
    summary = summarize(grade_items(ITEMS[:2], [[said("#### 72")] * 3, [said("?")]]))
    assert summary["accuracy"] == 0.5
    assert summary["correct"] == 0.75


def test_a_truncated_completion_whose_answer_reads_is_graded():
    result = grade_items(ITEMS[:1], [[said("#### 72\nWait, let me", truncated=True)]])[0]
    assert result.correct
    assert result.to_json()["truncated"]


def test_strict_reads_only_marked_answers():
    completions = [[said("It is 72.")]]
    assert grade_items(ITEMS[:1], completions)[0].correct
    assert grade_items(ITEMS[:1], completions, strict=True)[0].verdict is Verdict.UNREADABLE


def test_nothing_graded_is_undefined_and_null_in_json():
    summary = summarize(grade_items([], []))
    assert isnan(summary["accuracy"] or 0)
    assert (summary["n"], summary["samples"], summary["by_level"]) == (0, 0, {})
    assert json.loads(json.dumps(summary_to_json(summary), allow_nan=False)) == {
        "accuracy": None,
        "ci95": [None, None],
        "n": 0,
        "samples": 0,
        "correct": None,
        "unreadable": None,
        "timeout": None,
        "truncated": None,
        "mean_tokens": None,
        "by_level": {},
    }


def test_one_item_sampled_often_has_an_accuracy_but_no_interval():
    summary = summarize(grade_items(ITEMS[:1], [[said("#### 72"), said("#### 1")]]))
    assert summary["accuracy"] == 0.5
    assert summary_to_json(summary)["ci95"] == [None, None]


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


def test_a_timeout_is_counted_and_is_not_correct():
    results = grade_items(ITEMS[:1], [[said("#### 72"), said("#### 72")]])
    summary = summarize([results[0], replace(results[1], verdict=Verdict.TIMEOUT)])
    assert (summary["timeout"], summary["unreadable"], summary["accuracy"]) == (0.5, 0, 0.5)


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
