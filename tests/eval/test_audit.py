r"""Audits counted by hand, and the looser reader that a run's verdicts are held against."""

from collections.abc import Iterator

import pytest
from rltk_eval.answers import Kind
from rltk_eval.audit import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    HEAD,
    NO_GOLD,
    TAIL,
    TIMEOUT,
    Labelled,
    as_completion,
    audit,
    judge,
    shorten,
)
from rltk_eval.looser import ANYWHERE, BOXED, FORMULA, HASHED, LAST, find_gold, stated_answers
from rltk_eval.pool import Checker

ROWS = [
    Labelled("1", "#### 72", "72", True),  # agree
    Labelled("2", "#### 71", "72", False),  # agree
    Labelled("3", "#### 71", "72", True),  # false negative
    Labelled("4", "#### 71 or 72", "72", True),  # false negative, unreadable
    Labelled("5", "#### 71 or 72", "72", False),  # agree, unreadable
    Labelled("6", "#### 72", "6 * 12 = 72\n#### 72", False, question="6 * 12?"),  # false positive
    Labelled("7", r"\boxed{\frac{1}{2}}", "0.5", True, "math"),  # agree
    Labelled("8", r"\boxed{\frac{1}{3}}", "0.5", True, "math"),  # false negative
    Labelled("9", "#### 72", "no number", True),  # gold does not read: false negative, unreadable
    Labelled("10", "#### 72", "no number", False),  # agree, unreadable
]


def test_counts_are_those_counted_by_hand():
    found = audit(ROWS)
    counts = {key: value for key, value in found.items() if key != "examples"}
    assert counts == {"n": 10, "agree": 5, "false_negative": 4, "false_positive": 1, "unreadable": 4, "timeout": 0}


def test_examples_are_what_differs_with_what_was_read():
    examples = audit(ROWS)["examples"]
    assert [(example["place"], example["why"]) for example in examples] == [
        *(("3", FALSE_NEGATIVE), ("4", FALSE_NEGATIVE), ("8", FALSE_NEGATIVE)),
        ("6", FALSE_POSITIVE),
        *(("9", NO_GOLD), ("10", NO_GOLD)),
    ]
    by_place = {example["place"]: example for example in examples}
    assert by_place["6"] == {
        "place": "6",
        "why": FALSE_POSITIVE,
        "question": "6 * 12?",
        "completion": "#### 72",
        "gold": "72",
        "answer": "72",
        "verdict": "correct",
        "label": "incorrect",
    }
    unreadable = by_place["4"]
    assert (unreadable["answer"], unreadable["verdict"], unreadable["label"]) == (None, "unreadable", "correct")
    assert by_place["8"]["answer"] == r"\frac{1}{3}"
    assert by_place["9"]["gold"] is None


def test_examples_are_bounded_for_each_oddity():
    found = audit(ROWS * 3, examples=2)
    assert [example["place"] for example in found["examples"]] == ["3", "4", "6", "6", "9", "10"]
    assert (found["n"], found["false_negative"]) == (30, 12)
    assert audit(ROWS, examples=0)["examples"] == []


def test_nothing_is_counted_of_nothing():
    assert audit([]) == {
        **{"n": 0, "agree": 0, "false_negative": 0, "false_positive": 0, "unreadable": 0, "timeout": 0},
        "examples": [],
    }


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The checker in use gives each question a hundredth of a microsecond."""
    with Checker(workers=1, seconds=1e-8) as checker:
        monkeypatch.setattr("rltk_eval.answers._CHECKER", checker)
        yield


@pytest.mark.usefixtures("hurried")
def test_a_check_that_runs_over_is_counted_whatever_the_label():
    texts = (r"\boxed{\frac{\sqrt{2}}{2}}", r"\boxed{\frac{\sqrt{3}}{3}}")
    golds = (r"\frac{1}{\sqrt{2}}", r"\frac{1}{\sqrt{3}}")
    pairs = zip(texts, golds, (True, False), strict=True)
    found = audit([Labelled("", text, gold, label, "math") for text, gold, label in pairs])
    assert (found["n"], found["agree"], found["false_negative"], found["timeout"]) == (2, 1, 1, 2)
    assert [example["why"] for example in found["examples"]] == [TIMEOUT, TIMEOUT]


def test_rows_keep_their_order_whatever_their_kind():
    judged = judge(ROWS)
    assert [one.row.place for one in judged] == [row.place for row in ROWS]
    assert [one.grade.correct for one in judged] == [place in ("1", "6", "7") for place in (row.place for row in ROWS)]


@pytest.mark.parametrize(
    ("solution", "kind", "expected"),
    [
        ("6 * 12\n#### 72", "number", "6 * 12\n#### 72"),
        (r"It is \boxed{72}", "number", r"It is \boxed{72}"),
        ("72", "number", "#### 72"),
        (r"\frac12", "math", r"\boxed{\frac12}"),
        (r"It is $\boxed{\frac12}$", "math", r"It is $\boxed{\frac12}$"),
        ("x #### y", "math", r"\boxed{x #### y}"),
    ],
)
def test_a_bare_answer_is_announced(solution: str, kind: Kind, expected: str):
    assert as_completion(solution, kind) == expected


def test_of_a_long_text_both_ends_are_shown():
    assert shorten("a\n  b") == "a b"
    assert shorten("a" * (HEAD + TAIL)) == "a" * (HEAD + TAIL)
    assert shorten("a" * 200 + "b" * 500) == "a" * HEAD + " ... " + "b" * TAIL


@pytest.mark.parametrize(
    ("completion", "gold", "kind", "place"),
    [
        ("so 72 apples.", "72", "number", LAST),
        ("$1,072.00 in all", "1072", "number", LAST),
        ("3 - 7 = -4", "-4", "number", LAST),
        ("3 - 7 = \u22124.", "-4", "number", LAST),
        ("10-4", "4", "number", LAST),  # no sign after a digit
        ("10-4", "-4", "number", None),
        ("f(2)-4 or a-4", "-4", "number", None),
        ("it is 3/4", "3/4", "number", LAST),
        ("it is 0.75", "3/4", "number", LAST),
        (r"\boxed{72 apples} for 5 people", "72", "number", BOXED),
        (r"\boxed{72} and then \boxed{73}", "72", "number", BOXED),
        ("#### 72 apples for 5 people", "72", "number", HASHED),
        ("#### 5\n72 were left, or 73", "72", "number", ANYWHERE),
        ("#### 172", "72", "number", None),
        ("#### 7.2", "72", "number", None),
        ("no number", "72", "number", None),
        ("1/0 and 72/00", "72", "number", ANYWHERE),
        (r"$\boxed{\frac12}$ or $\boxed{3}$", r"\frac{1}{2}", "math", BOXED),
        (r"It is $\frac{2}{4}$, or $3$.", r"\frac{1}{2}", "math", FORMULA),
        (r"It is \(x+1\), I think", "x + 1", "math", FORMULA),
        (r"so x + 1, I think", "x+1", "math", ANYWHERE),
        (r"$\boxed{7}$ of $72$ or $3$", "72", "math", FORMULA),
        (r"$\boxed{\frac13}$", r"\frac{1}{2}", "math", None),
        (r"$\boxed{x^2}$ for $\sqrt{2}$ or $\frac12$, so y^2 > 3", "12", "math", ANYWHERE),
    ],
)
def test_the_looser_reader_finds_the_gold_answer(completion: str, gold: str, kind: Kind, place: str | None):
    assert find_gold(completion, gold, kind=kind) == place


@pytest.mark.parametrize(
    ("completion", "kind", "answers"),
    [
        ("#### 72", "number", ["72"]),
        ("#### 72\n#### 72.0", "number", ["72"]),
        ("#### 3\n#### 72", "number", ["3", "72"]),
        (r"\boxed{3} #### 72", "number", ["3", "72"]),
        ("The answer is 3. No, the answer is 72.", "number", ["3", "72"]),
        ("The answer is 72.\n#### 72", "number", ["72"]),
        ("#### Step 1\n#### 72", "number", ["72"]),
        ("The answer is 3?</think>#### 72", "number", ["72"]),
        ("3 + 69 = 72", "number", []),
        (r"$\boxed{\frac12}$ or $\boxed{0.5}$", "math", [r"\frac12"]),
        (r"$\boxed{2}$, $\boxed{3}$", "math", ["2", "3"]),
        (r"The answer is $x$. So $\boxed{y}$", "math", ["y", "x"]),
        (r"\boxed{\text{odd}} \boxed{\text{even}}", "math", [r"\text{odd}", r"\text{even}"]),
    ],
)
def test_different_answers_are_told_apart(completion: str, kind: Kind, answers: list[str]):
    assert stated_answers(completion, kind=kind) == answers


@pytest.mark.parametrize(
    "piece", ["1,", "#### 1 ", r"\boxed{", "-$", "answer ", "$1$", "9" * 10, "\u2212", r"\boxed{1}"]
)
def test_hostile_text_is_read_in_bounded_time(piece: str):
    """A few milliseconds each; the limit of a test run is what fails if one takes quadratic time."""
    text = piece * (100_000 // len(piece))
    for kind in ("number", "math"):
        assert find_gold(text, "72", kind=kind) is None
        assert len(stated_answers(text, kind=kind)) <= 64
