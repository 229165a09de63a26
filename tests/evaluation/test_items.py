"""Rows that survive the end of their writer, and the blocks they come in."""

from pathlib import Path

import pytest

from rltk.data.problems import Problem
from rltk.data.tasks import Task
from rltk.data.templates import TEMPLATES
from rltk.errors import UserError
from rltk.evaluation.blocks import count_whole, ends, make_blocks
from rltk.evaluation.items import Items, Row, score_rows
from rltk.recipe.schema import EVAL_BLOCK, Data


def row(item: int, *, decoding: str = "greedy", sample: int = 0, correct: bool = True) -> Row:
    return {
        "id": f"test/{item}",
        "sample": sample,
        "prompt": "?",
        "completion": "\u2028 #### 7",  # a line separator to str.splitlines, and to no JSON-lines file
        "answer": "7",
        "gold": "7" if correct else "8",
        "verdict": "correct" if correct else "incorrect",
        "correct": correct,
        "tokens": 3,
        "truncated": False,
        "level": None,
        "subject": None,
        "decoding": decoding,
    }


def task(count: int, name: str = "t") -> Task:
    problems = [Problem(f"test/{i}", f"{i}?", "7") for i in range(count)]
    return Task(name, Data(path="a/b"), problems, TEMPLATES["plain@1"])


def test_rows_are_on_the_disk_as_soon_as_they_are_added(tmp_path: Path) -> None:
    items = Items(tmp_path / "items" / "t.jsonl")
    items.keep(0)
    items.add([row(0), row(1)])
    items.add([row(2)])
    assert Items(tmp_path / "items" / "t.jsonl").rows == items.rows == [row(0), row(1), row(2)]


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_half_a_line_is_dropped_wherever_it_ends(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    items = Items(path)
    items.keep(0)
    items.add([row(0), row(1), row(2)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Items(path)
    assert again.rows == [row(0), row(1)]
    again.keep(2)
    again.add([row(2)])
    assert path.read_bytes() == whole


def test_a_file_that_is_damaged_within_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("{no}\n{}\n")
    with pytest.raises(UserError, match=r"t\.jsonl, line 1: not JSON"):
        Items(path)
    path.write_text('{"id": 1}\n')
    with pytest.raises(UserError, match=r"line 1: not a row of an evaluation \(a row without prompt\)"):
        Items(path)
    path.write_text("[]\n")
    with pytest.raises(UserError, match="line 1: not a row of an evaluation"):
        Items(path)


def test_without_a_path_rows_are_in_memory() -> None:
    items = Items()
    items.add([row(0), row(1)])
    items.keep(1)
    assert items.rows == [row(0)]


def test_blocks_hold_every_sample_once_in_order() -> None:
    blocks = list(make_blocks(task(600), samples=8, temperature=0.5, seed=0))
    assert [(block.decoding, len(block.problems)) for block in blocks[:4]] == [
        ("greedy", 256),
        ("greedy", 256),
        ("greedy", 88),
        ("sampled", 32),
    ]
    assert all(len(block.problems) * block.samples <= EVAL_BLOCK for block in blocks)
    ids = [row_id for block in blocks for row_id in block.row_ids()]
    assert len(ids) == len(set(ids)) == 600 + 600 * 8 == ends(blocks)[-1]
    assert ids[600:602] == [("sampled", "test/0", 0), ("sampled", "test/0", 1)]
    assert {block.temperature for block in blocks if block.decoding == "sampled"} == {0.5}


def test_without_samples_there_are_greedy_blocks_only() -> None:
    assert {block.decoding for block in make_blocks(task(10), samples=0, temperature=1.0, seed=0)} == {"greedy"}
    assert list(make_blocks(task(0), samples=4, temperature=1.0, seed=0)) == []


def test_more_samples_than_a_block_has_are_a_block_each() -> None:
    blocks = list(make_blocks(task(2), samples=300, temperature=1.0, seed=0))
    assert [len(block.problems) for block in blocks] == [2, 1, 1]


def test_a_stream_depends_on_seed_task_and_place_and_not_on_how_many_problems_there_are() -> None:
    def seeds(name: str = "t", count: int = 600, seed: int = 0) -> list[int]:
        return [block.seed for block in make_blocks(task(count, name), samples=4, temperature=1.0, seed=seed)]

    assert len(set(seeds())) == len(seeds()) == 3 + 10
    assert seeds() == seeds()
    assert set(seeds()).isdisjoint(seeds(name="u")) and set(seeds()).isdisjoint(seeds(seed=1))
    assert seeds(count=300)[2:] == seeds()[3:8]


def test_whole_blocks_count_and_rows_of_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rltk.evaluation.blocks.EVAL_BLOCK", 2)
    blocks = list(make_blocks(task(4), samples=2, temperature=1.0, seed=0))
    assert ends(blocks) == [2, 4, 6, 8, 10, 12]
    rows = [row(int(item[5:]), decoding=d, sample=s) for block in blocks for d, item, s in block.row_ids()]
    for count, whole in {0: 0, 1: 0, 2: 1, 5: 2, 11: 5, 12: 6}.items():
        items = Items()
        items.add(rows[:count])
        assert count_whole(blocks, items, "t") == whole
    for wrong in (rows[1:], [*rows, rows[0]], [rows[0], rows[0]]):
        items = Items()
        items.add(wrong)
        with pytest.raises(UserError, match="does not hold the rows of t in order"):
            count_whole(blocks, items, "t")


def test_scores_are_of_each_decoding() -> None:
    rows = [row(0), row(1, correct=False), *(row(i, decoding="sampled", sample=s) for i in (0, 1) for s in (0, 1))]
    score = score_rows(rows, {"name": "x", "hash": "y"}, temperature=0.7, k=[2])
    assert (score["accuracy"], score["n"], score["prompt"]) == (0.5, 2, {"name": "x", "hash": "y"})
    sampled = score["sampled"]
    assert (sampled["accuracy"], sampled["samples"], sampled["temperature"]) == (1.0, 4, 0.7)
    assert sampled["pass_at_k"]["2"]["accuracy"] == 1.0 and score["pass_at_k"] == {}
    assert "sampled" not in score_rows(rows[:2], None, temperature=None)
