"""Problems from every kind of source: what is read, held out, refused, and in which order it is trained on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rltk.data.problems import Order, Problem, fingerprint, hold_out, load_problems, short_level
from rltk.errors import UserError
from rltk.recipe.schema import Data
from tests import files

ROWS = [
    {"question": "What is 2 and 5?", "answer": "2 + 5 = 7\n#### 7"},
    {"question": "How many grams?", "answer": "#### 1,000"},
    {"question": "Below zero?", "answer": "-3", "level": 4},
]
EXPECTED = [
    Problem("train/0", "What is 2 and 5?", "7", solution="2 + 5 = 7\n#### 7"),
    Problem("train/1", "How many grams?", "1000", solution="#### 1,000"),
    Problem("train/2", "Below zero?", "-3", "4", solution="-3"),
]


def write_jsonl(path: Path) -> None:
    path.write_text("\ufeff" + "\r\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")


def write_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([{"level": None, **row} for row in ROWS]), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.jsonl": write_jsonl,
    "a.json": write_json,
    "a.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_every_kind_give_the_same_problems(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    assert load_problems(Data(path=str(tmp_path / name)), "train") == EXPECTED


def test_a_folder_in_the_hubs_layout_has_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write_parquet(folder / "train.parquet")
    write_parquet(folder / "test.parquet")
    data = Data(path=str(folder))
    assert load_problems(data, "train") == EXPECTED
    assert [problem.id for problem in load_problems(data, "test")] == ["test/0", "test/1", "test/2"]
    with pytest.raises(UserError, match=r"split 'valid' could not be read \(Unknown split .valid.*\); give a folder"):
        load_problems(Data(path=str(folder), train="valid"), "train")


@pytest.mark.parametrize("content", ["", "{no\n"], ids=["empty", "malformed"])
def test_a_folder_with_a_bad_file_is_refused(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"split 'train' could not be read \(.+\); give a folder"):
        load_problems(Data(path=str(tmp_path / "set")), "train")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"question,answer\n", "of files only .jsonl, .json and .parquet are read."),
        ("a.json", b"{}", "does not hold a list of objects."),
        ("a.json", b"[1]", ", row 0: 1 is not an object."),
        ("a.json", b'{"a": 1}\n{"a": 2}', "; if it has one object a line, call it .jsonl."),
        ("a.jsonl", b"\xff\xfe", "could not be read: 'utf-8' codec can't decode byte 0xff"),
        ("a.parquet", b"none", "could not be read: Could not open Parquet input source"),
    ],
)
def test_an_unreadable_file_is_refused(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(said)):
        load_problems(Data(path=str(tmp_path / name)), "train")


def test_a_local_path_that_is_not_there_is_refused_without_asking_the_network() -> None:
    with pytest.raises(UserError, match=r"data\.path = \./none\.jsonl does not exist"):
        load_problems(Data(path="./none.jsonl"), "train")


def test_rows_of_a_table_are_counted_from_0(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([ROWS[0], {"question": "a?", "answer": "b"}]), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet, row 1: answer has no gold answer in 'b'"):
        load_problems(Data(path=str(tmp_path / "a.parquet")), "train")


def test_configurations_take_turns_and_a_message_names_the_one_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder, configs = tmp_path / "set", ""
    for name, answer in {"sums": "7", "products": "6", "words": "about"}.items():
        (folder / name).mkdir(parents=True)
        row = {"question": f"{name}?", "answer": answer, "type": name, "level": "Level 3"}
        (folder / name / "test.jsonl").write_text((json.dumps(row) + "\n") * (3 if name == "sums" else 1))
        configs += f"- config_name: {name}\n  data_files:\n  - {{split: test, path: {name}/test.jsonl}}\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    data = Data(path=str(folder), config=("sums", "products"), subject="type")
    assert load_problems(data, "test") == [
        Problem("test/sums/0", "sums?", "7", "3", subject="sums", solution="7"),
        Problem("test/products/0", "products?", "6", "3", subject="products", solution="6"),
        Problem("test/sums/1", "sums?", "7", "3", subject="sums", solution="7"),
        Problem("test/sums/2", "sums?", "7", "3", subject="sums", solution="7"),
    ]
    with pytest.raises(UserError, match=r"set \(words, test\), row 0: answer has no gold answer in 'about'"):
        load_problems(data.model_copy(update={"config": ("sums", "words")}), "test")
    with pytest.raises(UserError, match="could not be read"):
        load_problems(data.model_copy(update={"config": ("sums", "sums2")}), "test")


@pytest.mark.parametrize(
    ("written", "read"), [("Level 5", "5"), ("Level ?", "Level ?"), (3, "3"), (None, None), ("Level 5+", "Level 5+")]
)
def test_a_numbered_level_is_its_number(written: object, read: str | None) -> None:
    assert short_level(written) == read


def test_other_columns_and_a_size_are_as_the_recipe_says(tmp_path: Path) -> None:
    rows = [{"q": f"q{i}?", "a": i} for i in range(10)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = Data(path=str(tmp_path / "a.jsonl"), question="q", answer="a", size=4)
    assert load_problems(data, "train") == [Problem(f"train/{i}", f"q{i}?", str(i), solution=str(i)) for i in range(4)]


# Held out


def numbered(count: int) -> list[Problem]:
    return [Problem(f"train/{i}", f"q{i}?", str(i)) for i in range(count)]


def test_what_is_held_out_is_fixed_and_apart() -> None:
    problems = numbered(20)
    held_out, rest = hold_out(problems, 5)
    assert [problem.answer for problem in held_out] == ["1", "8", "12", "13", "15"]
    assert set(held_out).isdisjoint(rest)
    assert sorted([*held_out, *rest], key=lambda problem: int(problem.answer)) == problems
    assert hold_out(problems, 5) == (held_out, rest)
    assert hold_out(problems, 0) == ([], problems)
    with pytest.raises(UserError, match="would hold out all of the 20 training problems"):
        hold_out(problems, 20)


def test_a_size_does_not_move_the_border(tmp_path: Path) -> None:
    rows = [{"question": f"q{i}?", "answer": i} for i in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    common: dict[str, Any] = {"path": str(tmp_path / "a.jsonl"), "validation": 6}
    held_out = load_problems(Data(**common), "validation")
    assert len(held_out) == 6
    assert load_problems(Data(**common, size=3), "validation") == held_out
    train = load_problems(Data(**common), "train")
    assert len(train) == 24 and set(train).isdisjoint(held_out)
    assert load_problems(Data(**common, size=3), "train") == train[:3]
    with pytest.raises(UserError, match="has no validation problems"):
        load_problems(Data(path=str(tmp_path / "a.jsonl")), "validation")


def test_embedded_splits_share_no_question() -> None:
    data = Data(path="embedded/word-problems", levels=(1,), size=300)
    splits = [load_problems(data, split) for split in ("train", "validation", "test")]
    assert [len(problems) for problems in splits] == [300, 2000, 2000]
    questions = [{problem.question for problem in problems} for problems in splits]
    assert not (questions[0] & questions[1] or questions[0] & questions[2] or questions[1] & questions[2])
    assert {problem.level for problem in splits[0]} == {"1"}


# Order


def test_an_epoch_takes_every_problem_once_and_the_next_in_another_order() -> None:
    problems = numbered(12)
    order = Order(problems, seed=0)
    epochs = [[problem for step in range(3 * e, 3 * e + 3) for problem in order.take(step, 4)] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch, key=lambda problem: int(problem.answer)) == problems
    assert epochs[0] != problems
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_step_may_straddle_two_epochs_and_be_longer_than_one() -> None:
    order = Order(numbered(5), seed=0)
    taken = [problem for step in range(5) for problem in order.take(step, 3)]
    assert [len(set(taken[start : start + 5])) for start in (0, 5, 10)] == [5, 5, 5]
    assert order.take(0, 15) == taken


def test_a_step_is_a_function_of_seed_and_step_alone() -> None:
    problems = numbered(50)
    first = [Order(problems, seed=3).take(step, 8) for step in range(20)]
    order = Order(problems, seed=3)
    assert [order.take(step, 8) for step in reversed(range(20))] == first[::-1]
    assert [Order(problems, seed=4).take(step, 8) for step in range(20)] != first
    assert [problem.answer for problem in Order(numbered(6), seed=0).take(0, 12)] == [*"304152104532"]


def test_the_fingerprint_sees_every_change() -> None:
    problems = numbered(3)
    changed = [
        problems[:2],
        problems[::-1],
        [problems[0]._replace(answer="9"), *problems[1:]],
        [problems[0]._replace(question="?"), *problems[1:]],
        [problems[0]._replace(kind="math"), *problems[1:]],
    ]
    assert len({fingerprint(those) for those in (problems, *changed)}) == 6
    assert fingerprint(problems) == fingerprint(numbered(3))


# GSM8K itself


def test_gsm8k_is_read_whole(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    data = Data(path=str(shared_data / "openai" / "gsm8k"), config="main", validation=473)
    train, validation, test = (load_problems(data, split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (7000, 473, 1319)
    golds = {problem.id: problem.answer for problem in (*train, *validation)}
    assert len(golds) == 7473 and golds["train/0"] == "72"
    assert sum(gold.startswith("-") for gold in golds.values()) == 3
    assert sum(problem.answer.startswith("-") for problem in test) == 2
    assert not any("," in gold for gold in golds.values())
    assert all(re.fullmatch(r"-?\d+(\.\d+)?(/\d+)?", gold) for gold in golds.values())
    assert test[0].question.startswith("Janet\u2019s ducks lay 16 eggs per day.") and test[0].answer == "18"
    assert not {problem.question for problem in test} & {problem.question for problem in train}


def test_gsm8k_without_its_configuration_says_which_there_are(shared_data: Path) -> None:
    with pytest.raises(UserError, match="could not be read"):
        load_problems(Data(path=str(shared_data / "openai" / "gsm8k"), config="mian"), "train")


def test_a_few_gold_answers_that_cannot_be_read_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row in 1,500; one in 500 is refused."""
    rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(1500)]
    rows[7]["answer"] = "no number"
    path = tmp_path / "few.jsonl"
    files.jsonl(path, rows)
    problems = load_problems(Data(path=str(path)), "train")
    assert len(problems) == 1499 and "train/7" not in {problem.id for problem in problems}
    assert problems[7].id == "train/8"
    assert "few.jsonl: 1 of 1500 rows left out: " in capsys.readouterr().err
    files.jsonl(path, rows[:500])
    with pytest.raises(UserError, match="line 8: answer has"):
        load_problems(Data(path=str(path)), "train")
