"""Rewards within completions: where in the text they fall due, at which token, and what a worked solution is worth."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from rltk.data.problems import Problem
from rltk.data.prompt import completion_text
from rltk.errors import UserError
from rltk.recipe.schema import Data, PythonReward
from rltk.rewards.call import OwnScorer
from rltk.rewards.dense import Due, Mark, Places, amount, weighted
from rltk.rewards.own import load_own
from rltk.rewards.solution import By, refuse_unsolved, solution_marks
from rltk.rollout.sampler import Rollout
from tests import tiny
from tests.recipes import recipe


def rollout(tokens: Sequence[int]) -> Rollout:
    return Rollout(torch.tensor(list(tokens), dtype=torch.long), torch.zeros(len(tokens)), is_truncated=False)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return tiny.tokenizer()


@pytest.mark.parametrize(
    "text", ["Tom has 12 + 5 = 17 apples.\n#### 17", "a naïve 東京 café 🙂 x", "   spaced  out ", "x"]
)
def test_a_character_falls_to_the_token_that_wrote_it(text: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """After that token the text is there, and before it it was not; whether or not characters take several tokens."""
    tokens = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    assert completion_text(tokenizer, torch.tensor(tokens)) == text
    marks = [Mark(end, float(end)) for end in range(1, len(text) + 1)]
    found = Places(tokenizer).due(rollout(tokens), text, marks)
    assert [due.reward for due in found] == [mark.reward for mark in marks]
    for token, reward in found:
        end = int(reward)
        before, after = (completion_text(tokenizer, torch.tensor(tokens[:count])) for count in (token, token + 1))
        assert len(before) < end <= len(after)
        assert token < len(tokens) - 1  # the end token wrote nothing


def test_marks_come_in_the_order_of_their_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = tokenizer.encode("one two three", add_special_tokens=False)
    found = Places(tokenizer).due(rollout(tokens), "one two three", [Mark(13, 3.0), Mark(1, 1.0), Mark(1, -1.0)])
    assert [due.reward for due in found] == [1.0, -1.0, 3.0]
    assert found[0].token == found[1].token == 0 and found[2].token == len(tokens) - 1
    assert Places(tokenizer).due(rollout([]), "", []) == ()


def test_numbers_are_due_at_the_end_and_lists_where_they_say() -> None:
    within = (Due(0, 1.0), Due(3, -0.25))
    assert (amount(within), amount(0.5), amount(None), amount(())) == (0.75, 0.5, None, 0.0)
    assert weighted(0.5, 2.0, 4) == (Due(3, 1.0),)
    assert weighted(within, 2.0, 4) == (Due(0, 2.0), Due(3, -0.5))
    assert weighted(None, 2.0, 4) == weighted(1.0, 2.0, 0) == ()


SOLUTION = "Tom buys 48/2 = <<48/2=24>>24 clips.\nThat makes 48 + 24 = $1,072.50 in all.\n#### 72"


@pytest.mark.parametrize(
    ("by", "completion", "ends"),
    [
        ("steps", SOLUTION, ["24", "1,072.50"]),
        ("steps", "So 48 / 2 = 24.0, and 24 + 48 = 1072.5 dollars", ["24.0", "1072.5"]),
        ("steps", "48 / 2 = 25 and 48 + 24 = 1,072.50", []),  # the second result is no second step
        ("steps", "= 24 = 25 = 1072.5", ["24"]),
        ("steps", "It is 24.", []),
        ("steps", "48 / 2 = -24", []),
        ("steps", f"48 / 2 = {'9' * 5000}", []),
        ("words", "Tom buys 48/2 is", ["Tom", "buys", "48/2"]),
        ("words", "tom buys", []),
        ("words", "", []),
    ],
)
def test_a_solution_is_followed_from_its_start_to_where_it_is_left(by: By, completion: str, ends: list[str]) -> None:
    problem = Problem("a", "?", "72", solution=SOLUTION)
    marks = solution_marks(problem, completion, by)
    assert [completion[: mark.end].endswith(end) for mark, end in zip(marks, ends, strict=True)] == [True] * len(ends)
    share = {"steps": 1 / 2, "words": 1 / len(SOLUTION.split())}[by]
    assert [mark.reward for mark in marks] == [share] * len(ends)


def test_a_sign_counts_before_a_fraction_too() -> None:
    problem = Problem("a", "?", "-0.5", solution="1 - 1.5 = -0.5\n#### -0.5")
    assert [len(solution_marks(problem, text, "steps")) for text in ("= -0.50", "= 0.5")] == [1, 0]


def test_all_of_a_solution_is_worth_one() -> None:
    problem = Problem("a", "?", "72", solution=SOLUTION)
    for by in ("steps", "words"):
        assert sum(mark.reward for mark in solution_marks(problem, SOLUTION, by)) == pytest.approx(1.0)


def test_data_without_solutions_has_nothing_to_follow() -> None:
    solved, bare = Problem("a", "?", "72", solution=SOLUTION), Problem("b", "?", "7", solution="7")
    chosen = recipe(rewards={"steps": {"type": "solution"}}, algo={"type": "grpo"})
    refuse_unsolved(chosen, [bare, solved])
    with pytest.raises(UserError, match=r"rewards\.steps follows the steps of worked solutions, and none of the 1 "):
        refuse_unsolved(chosen, [bare])


def test_solutions_are_of_problems_with_numbers() -> None:
    for path in ("embedded/equations", "embedded/dialogues"):
        with pytest.raises(ValueError, match="follows solutions of problems with numbers"):
            recipe(data=Data(path=path), rewards={"steps": {"type": "solution"}}, algo={"type": "grpo"})


ONE = "def mine(problem, completion): "
ALL = "def mine(problems, completions): "
WRONG = [
    ("[(1, 0.5), (9, 1.0)]", "gave a reward after 9 characters at {}, which has 5; from 1 to that was expected."),
    ("[(0, 1.0)]", "gave a reward after 0 characters at {}, which has 5; from 1 to that was expected."),
    ("[0.5]", "gave a list with 0.5 in it at {}; pairs (end, reward) were expected, end counting characters."),
    ("[(1, float('inf'))]", "gave inf at {}; let it give None for what has no reward."),
    ("[(1, 'x')]", "gave a value of type str where a number was expected at {}."),
]


@pytest.fixture
def own(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def own(source: str) -> Any:
        (tmp_path / "mine.py").write_text(source)
        problems = [Problem("a", "?", "1"), Problem("b", "?", "2")]
        return OwnScorer(load_own("mine", PythonReward(path="mine.py")))(problems, ["12345", "x"])

    return own


def test_a_function_may_give_rewards_with_their_places(own: Any) -> None:
    assert own(f"{ONE}return [(len(completion), 1), (1, -0.5)]") == [[(5, 1.0), (1, -0.5)], [(1, 1.0), (1, -0.5)]]
    assert own(f"{ALL}return [None, ()]") == [None, []]
    assert own(f"import numpy\n{ONE}return [(numpy.int64(1), numpy.float32(2))]") == [[(1, 2.0)]] * 2


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_places_that_cannot_be_are_said(given: str, said: str, own: Any) -> None:
    for source in (f"{ONE}return {given}", f"{ALL}return [{given}] * 2"):
        with pytest.raises(UserError) as caught:
            own(source)
        assert str(caught.value) == f"rewards.mine: mine.py, mine {said.format('completion 1 of 2, of problem a')}"
