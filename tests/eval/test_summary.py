"""Summaries: intervals, pass@k, maj@k, and accuracy by level and subject, from graded rows."""

import json
from math import isnan

import numpy as np
import pytest
from rltk_eval.answers import Verdict
from rltk_eval.grading import Completion, Item, ItemResult, grade_items
from rltk_eval.metrics import clustered_interval, wilson
from rltk_eval.summary import score, summarize, summary_to_json

ITEMS = [
    Item("a", "6 boxes of 12 pens?", "6 * 12 = 72\n#### 72", level="1", subject="counting"),
    Item("b", "500 twice?", "1,000", level="2"),
    Item("c", "Half of 1.5?", "0.75", level="2", subject="fractions"),
]


def said(text: str, tokens: int = 10, truncated: bool = False) -> Completion:
    return Completion(text, tokens, truncated)


ONE_EACH = [[said("#### 72", 10)], [said("#### 999", 20)], [said("I wonder", 60, truncated=True)]]
TWO_EACH = [[said("#### 72"), said("#### 72")], [said("#### 1000"), said("#### 1")], [said("#### 1"), said("?")]]


def result(item: str, sample: int, answer: str | None, *, correct: bool = False) -> ItemResult:
    verdict = Verdict.UNREADABLE if answer is None else Verdict.CORRECT if correct else Verdict.INCORRECT
    return ItemResult(Item(item, "?", "7"), said("..."), sample, verdict, answer, "7")


def votes(*answers: str | None, gold: str = "7") -> list[ItemResult]:
    return [result("a", sample, answer, correct=answer == gold) for sample, answer in enumerate(answers)]


def test_one_sample_an_item():
    summary = summarize(grade_items(ITEMS, ONE_EACH))
    assert summary == {
        "accuracy": pytest.approx(1 / 3),
        "ci95": pytest.approx([*wilson(1, 3)]),
        "n": 3,
        "samples": 3,
        "correct": pytest.approx(1 / 3),
        "unreadable": pytest.approx(1 / 3),
        "timeout": 0.0,
        "truncated": pytest.approx(1 / 3),
        "mean_tokens": 30,
        "by_level": {
            "1": {"accuracy": 1.0, "ci95": [*wilson(1, 1)], "n": 1},
            "2": {"accuracy": 0.0, "ci95": [*wilson(0, 2)], "n": 2},
        },
        "by_subject": {
            "counting": {"accuracy": 1.0, "ci95": [*wilson(1, 1)], "n": 1},
            "fractions": {"accuracy": 0.0, "ci95": [*wilson(0, 1)], "n": 1},
        },
        "pass_at_k": {},
        "maj_at_k": {},
    }


def test_several_samples_an_item_are_clustered():
    summary = summarize(grade_items(ITEMS, TWO_EACH))
    assert (summary["n"], summary["samples"]) == (3, 6)
    assert summary["accuracy"] == pytest.approx(0.5)
    low, high = clustered_interval([[1, 1], [1, 0], [0, 0]])
    assert low < 0 < 1 < high  # an accuracy's interval is cut at what an accuracy can be
    assert summary["ci95"] == [0.0, 1.0]
    assert (summary["by_level"]["2"]["accuracy"], summary["by_level"]["2"]["n"]) == (0.25, 2)


def test_no_success_in_many_samples_is_not_certainty():
    summary = summarize(grade_items(ITEMS, [[said("?")] * 8] * 3))
    assert summary["accuracy"] == 0
    assert summary["ci95"] == pytest.approx([*wilson(0, 3)])


def test_uneven_samples_weigh_items_alike():
    summary = summarize(grade_items(ITEMS[:2], [[said("#### 72")] * 3, [said("?")]]))
    assert summary["accuracy"] == 0.5
    assert summary["correct"] == 0.75


def test_a_check_that_took_too_long_is_counted():
    slow = result("a", 0, "x")
    rows = [ItemResult(slow.item, slow.completion, 0, Verdict.TIMEOUT, "x", "7"), result("b", 0, "7", correct=True)]
    summary = summarize(rows)
    assert (summary["accuracy"], summary["timeout"], summary["unreadable"]) == (0.5, 0.5, 0.0)


def test_pass_at_k_is_the_mean_over_items_with_its_interval():
    """Of 4 samples 2, 0 and 4 are right: pass@2 is 5/6, 0 and 1."""
    right = [2, 0, 4]
    rows = [result(str(i), s, "7", correct=s < count) for i, count in enumerate(right) for s in range(4)]
    found = summarize(rows, (1, 2, 4))["pass_at_k"]
    assert [found[k]["accuracy"] for k in ("1", "2", "4")] == pytest.approx([0.5, 11 / 18, 2 / 3])
    low, high = clustered_interval([[5 / 6], [0], [1]])
    assert found["2"]["ci95"] == pytest.approx([max(0, low), min(1, high)])
    assert found["4"] == {"accuracy": pytest.approx(2 / 3), "ci95": pytest.approx([*wilson(2, 3)]), "n": 3}


def test_more_draws_than_samples_are_undefined_and_null_in_json():
    found = summarize(votes("7", "7"), (2, 3))
    assert found["pass_at_k"]["2"]["accuracy"] == found["maj_at_k"]["2"]["accuracy"] == 1
    for metric in (found["pass_at_k"], found["maj_at_k"]):
        assert isnan(metric["3"]["accuracy"]) and all(map(isnan, metric["3"]["ci95"])) and metric["3"]["n"] == 1
    assert summary_to_json(found)["maj_at_k"]["3"] == {"accuracy": None, "ci95": [None, None], "n": 1}


@pytest.mark.parametrize(
    ("answers", "elects"),
    [
        (["7", "5", "7"], 1),
        (["5", "7", "5"], 0),
        (["7", "5"], 1),  # a tie goes to the answer that came first
        (["5", "7"], 0),
        ([None, None, "7"], 1),  # what does not read abstains
        ([None, "5", "7", "7", "5", "7"], 1),
        ([None, None], 0),
    ],
)
def test_the_majority_decides(answers: list[str | None], elects: float):
    assert summarize(votes(*answers), [len(answers)])["maj_at_k"][str(len(answers))]["accuracy"] == elects


def test_the_first_k_samples_vote():
    found = summarize(votes("5", "7", "7"), (1, 2, 3))["maj_at_k"]
    assert [found[k]["accuracy"] for k in "123"] == [0, 0, 1]


def test_impossible_draws_are_errors():
    with pytest.raises(ValueError, match="at least 1"):
        summarize(votes("7"), [0])


def test_nothing_graded_is_undefined_and_null_in_json():
    summary = summarize(grade_items([], []), [1])
    assert isnan(summary["accuracy"])
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
        "by_subject": {},
        "pass_at_k": {"1": {"accuracy": None, "ci95": [None, None], "n": 0}},
        "maj_at_k": {"1": {"accuracy": None, "ci95": [None, None], "n": 0}},
    }


def test_one_item_sampled_often_has_an_accuracy_but_no_interval():
    summary = summarize(grade_items(ITEMS[:1], [[said("#### 72"), said("#### 1")]]))
    assert summary["accuracy"] == 0.5
    assert summary_to_json(summary)["ci95"] == [None, None]


@pytest.mark.parametrize(("n", "p"), [(50, 0.3), (100, 0.5), (200, 0.9), (1319, 0.05)])
def test_intervals_of_single_samples_cover(n: int, p: float):
    right = np.random.default_rng(n).binomial(n, p, size=4000)
    hits = sum(low <= p <= high for low, high in (wilson(count, n) for count in right.tolist()))
    assert 0.93 <= hits / 4000 <= 0.97


@pytest.mark.parametrize(("n", "samples"), [(50, 4), (200, 8), (500, 2)])
def test_intervals_of_several_samples_cover_though_they_depend_on_their_item(n: int, samples: int):
    """Difficulties from Beta(1, 2): the accuracy is a third."""
    rng = np.random.default_rng(samples)
    hits, rounds = 0, 1500
    for _ in range(rounds):
        right = rng.random((n, samples)) < rng.beta(1, 2, n)[:, None]
        low, high = score(right.astype(float).tolist())["ci95"]
        hits += low <= 1 / 3 <= high
    assert 0.93 <= hits / rounds <= 0.97
