"""Conversations to imitate: how rows are read, what is refused, and that SFT learns their last replies."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rltk.cli import main
from rltk.data.chats import load_chats
from rltk.data.demonstrations import load_demonstrations
from rltk.data.transcripts import Message
from rltk.errors import UserError
from rltk.models.load import load_tokenizer
from rltk.offline.rows import IGNORED, Reader
from rltk.recipe import load_recipe
from rltk.recipe.schema import Data, Model
from tests import runs

BLUE = [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}]
SUMS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3+3?"},
    {"role": "assistant", "content": "6"},
]
SHAREGPT = [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello!"}]


def written(folder: Path, *rows: Any, column: str = "messages") -> str:
    path = folder / "chats.jsonl"
    path.write_text("".join(json.dumps({column: row}) + "\n" for row in rows))
    return str(path)


def data(path: str, **keys: Any) -> Data:
    return Data.model_validate({"path": path, "kind": "messages", **keys})


def test_both_forms_are_read_and_a_system_message_is_given_to_those_without(tmp_path: Path) -> None:
    path = written(tmp_path, BLUE, SUMS, SHAREGPT)
    chats = dict(load_chats(data(path, system="Be kind."), "train"))
    assert chats["train/0"] == (
        Message("system", "Be kind."),
        Message("user", "Name a colour."),
        Message("assistant", "Blue."),
    )
    assert chats["train/1"][0] == Message("system", "Be brief.") and len(chats["train/1"]) == 5
    assert chats["train/2"][1:] == (Message("user", "Say hello."), Message("assistant", "Hello!"))
    other = written(tmp_path, SHAREGPT, column="conversations")
    assert len(load_chats(data(other, messages="conversations"), "train")) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, "messages is missing or empty"),
        ([], "messages is missing or empty"),
        ("Human: hi", "messages is no list of messages"),
        (BLUE[:1], "messages does not end with a reply of the assistant"),
        ([BLUE[1], *BLUE], "messages has its roles out of order (assistant, user, assistant)"),
        ([BLUE[0], {"role": "assistant", "content": " "}], "messages ends with an empty message"),
        ([BLUE[0], {"role": "tool", "content": "x"}], "messages has a message, number 1, without a role"),
        ([BLUE[0], {"role": "assistant", "content": 4}], "messages has a message, number 1, without a role"),
        ([{"from": "bot", "value": "x"}], "messages has a message, number 0, without a role"),
    ],
)
def test_a_row_that_is_no_conversation_is_named(tmp_path: Path, row: Any, said: str) -> None:
    path = written(tmp_path, BLUE, row)
    with pytest.raises(UserError) as caught:
        load_chats(data(path), "train")
    assert str(caught.value).startswith(f"{path}, line 2: {said}")


def test_a_few_odd_rows_of_many_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, *[BLUE] * 1500, BLUE[:1])
    assert len(load_chats(data(path), "train")) == 1500
    assert "1 of 1501 rows left out" in capsys.readouterr().err


def test_a_column_that_is_not_there_is_named_by_its_key(tmp_path: Path) -> None:
    path = written(tmp_path, BLUE, column="chat")
    with pytest.raises(UserError, match=r"no column 'messages', which data\.messages names; it has chat"):
        load_chats(data(path), "train")


def test_only_the_last_reply_is_learned(tmp_path: Path) -> None:
    path, tokenizer = written(tmp_path, SUMS), load_tokenizer(Model(path="embedded/policy"))
    recipe = load_recipe("gsm8k_sft", [f"data.path={path}", "data.kind=messages"], "laptop").recipe
    (shown,) = load_demonstrations(recipe.data, tokenizer).rows
    row = Reader(recipe, tokenizer, None).lesson(shown).to_row()
    learned = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == f"6{tokenizer.eos_token}"
    whole = str(tokenizer.decode(row["input_ids"]))
    assert whole.startswith("<|system|>Be brief.<|user|>2+2?<|assistant|>4")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algo.type=grpo"], "data.kind = messages is messages, conversations to imitate, and algo.type grpo does not"),
        (["eval.tasks=[heldout]"], "has no answers to check where data.kind is messages; name loss, or problems"),
        (["data.answer=gold"], "data.answer = gold has no meaning where data.kind is messages"),
        (["data.config=[a, b]"], "is a list, and of problems alone several are joined; name one"),
        (["data.chosen=good"], "data.chosen = good has no meaning where data.kind is messages"),
    ],
)
def test_what_conversations_are_not_for_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe("gsm8k_sft", ["data.kind=messages", "data.path=org/chats", 'data.prompt="{question}"', *overrides])
    assert said in str(caught.value)


def test_messages_means_nothing_for_problems() -> None:
    with pytest.raises(UserError, match=r"data\.messages = turns has no meaning where data\.kind is number"):
        load_recipe("gsm8k_sft", ["data.path=org/problems", "data.messages=turns"])


def test_sft_learns_them_and_is_scored_by_the_loss(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chats = [
        [{"role": "user", "content": f"Count to {n}."}, {"role": "assistant", "content": "1 2 3"}] for n in range(9)
    ]
    path, run = written(tmp_path, *chats), tmp_path / "run"
    small = ["algo.batch=4", "optim.steps=8", "optim.lr=0.01", "optim.warmup=0", "eval.every=0"]
    held_out = ["data.validation=3", "eval.split=validation"]
    argv = ["gsm8k_sft", f"data.path={path}", "data.kind=messages", *held_out, *small, "--run", str(run), "--quiet"]
    assert main(["train", *argv]) == 0
    scores = runs.read(run / "scores.json")
    before, after = scores["before"]["loss"], scores["after"]["loss"]
    assert before["n"] == after["n"] == 3 and math.isfinite(after["loss"]) and after["loss"] < 0.5 * before["loss"]
    capfd.readouterr()
    assert main(["eval", str(run)]) == 2
    assert "loss is measured while SFT trains" in capfd.readouterr().err
    assert main(["compare", *argv[:-3], "--dry-run"]) == 2
    assert "compare.metric is greedy, and algo.type sft on data.kind messages has no answers" in capfd.readouterr().err
    assert main(["sample", str(run), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "loss is measured while SFT trains" in capfd.readouterr().err
    assert main(["sample", str(run), "--task", "heldout", "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "has conversations to imitate (data.kind is messages)" in capfd.readouterr().err
