"""The evaluator: what it reads of a completion, and what its rows say."""

import pytest
import torch

from rltk.data.problems import Problem
from rltk.data.prompt import PromptRenderer
from rltk.data.tasks import Task, ask
from rltk.data.templates import Template, find_template
from rltk.evaluation.items import Items
from rltk.models.load import stop_tokens
from rltk.recipe.schema import Data
from rltk.rollout.describe import change, describe
from rltk.rollout.evaluate import Evaluator
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Rollout
from tests import tiny

PROBLEMS = [Problem(f"test/{i}", f"{i} and 5?", str(i + 5), str(i % 2), subject="sums") for i in range(5)]
FEW = find_template("gsm8k/few-shot@1")


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    model = tiny.model()
    stops = stop_tokens(model, tiny.tokenizer())
    sampler = NativeSampler(model, stops=stops, batch=4, dtype=torch.float32)
    return Evaluator(sampler, tiny.tokenizer(), max_new_tokens=5, context=512)


def task(template: Template) -> Task:
    return Task("sums", ask(Data(path="a/b"), template), PROBLEMS, template)


def written(text: str, *, is_truncated: bool) -> Rollout:
    tokens_T = torch.tensor(tiny.tokenizer().encode(text, add_special_tokens=False))
    return Rollout(tokens_T, torch.zeros(len(tokens_T)), is_truncated)


def test_scores_are_said_also_where_they_are_undefined() -> None:
    """A file has nan as null: of rewards of which none could be told, or of weights gone astray."""
    nothing = [None, None]
    assert describe({"loss": None, "ci95": nothing, "n": 3}) == "- nats a token [-, -] (n = 3)"
    assert describe({"loss": 0.5, "ci95": [0.25, 0.75], "n": 3}) == "0.5000 nats a token [0.250, 0.750] (n = 3)"
    assert describe({"reward": None, "ci95": nothing, "n": 0}) == "greedy - [-, -] (n = 0)"
    assert change({"loss": 0.5}, {"loss": None}) == change({"reward": None}, {"reward": 1.0}) == "no change to tell of"
    assert change({"accuracy": 0.25}, {"accuracy": 0.5}) == "+25.0 points"
    assert (change({"loss": 1.0}, {"loss": 0.5}), change({"reward": 1.0}, {"reward": 2.0})) == ("-0.5000", "+1.000")


def test_an_answer_ends_where_the_models_own_problem_begins(evaluator: Evaluator) -> None:
    text = "So #### 7\nQuestion: 3 and 3?\nAnswer: #### 6"
    rollout = written(text, is_truncated=True)
    read = evaluator.read(rollout, FEW)
    assert (read.text, read.tokens, read.truncated) == ("So #### 7", len(rollout.tokens_T), False)
    plain = evaluator.read(rollout, find_template("plain@1"))
    assert (plain.text, plain.truncated) == (text, True)


def test_an_answer_that_was_cut_off_is_said_to_be(evaluator: Evaluator) -> None:
    assert evaluator.read(written("So 3 and", is_truncated=True), FEW).truncated
    assert not evaluator.read(written("So #### 7", is_truncated=False), FEW).truncated


def test_rows_say_what_was_asked_and_come_block_by_block(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rltk.evaluation.blocks.EVAL_BLOCK", 2)
    asked, reports, items = task(find_template("gsm8k/zero-shot@1")), list[tuple[int, int]](), Items()
    found = evaluator.evaluate(
        asked,
        samples=2,
        temperature=1.0,
        seed=0,
        k=[1, 2],
        items=items,
        report=lambda done, total: reports.append((done, total)),
    )
    assert reports == [(done, 10) for done in (2, 4, 5, 6, 7, 8, 9, 10)]
    assert found.rows == items.rows and len(items.rows) == 15
    renderer = PromptRenderer(evaluator.tokenizer, asked.data)
    prompts = {problem.id: renderer.text(problem) for problem in PROBLEMS}
    assert all(row["prompt"] == prompts[row["id"]] and "####" in row["prompt"] for row in items.rows)
    assert {(row["level"], row["subject"]) for row in items.rows} == {("0", "sums"), ("1", "sums")}
    assert found.score["prompt"] == asked.prompt.to_json()
    assert (found.score["n"], found.score["sampled"]["samples"]) == (5, 10)
    assert list(found.score["sampled"]["pass_at_k"]) == ["1", "2"]


def test_what_is_kept_is_not_made_again(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rltk.evaluation.blocks.EVAL_BLOCK", 2)
    asked, whole = task(find_template("plain@1")), Items()
    first = evaluator.evaluate(asked, samples=2, temperature=1.0, seed=0, items=whole, report=lambda *_: None)
    marked = [
        {**row, "completion": "kept"} for row in whole.rows[:8]
    ]  # five greedy ones, a block of two and half of one
    items = Items()
    items.add(marked)
    again = evaluator.evaluate(asked, samples=2, temperature=1.0, seed=0, items=items, report=lambda *_: None)
    assert [row["completion"] == "kept" for row in items.rows] == [True] * 7 + [False] * 8
    assert again.rows[7:] == first.rows[7:]
