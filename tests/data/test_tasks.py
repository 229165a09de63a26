"""Evaluation tasks: which problems a name stands for, how they are asked, and what they are called."""

from pathlib import Path

import pytest

from rltk.data.tasks import load_task, load_tasks, short_name, task_data
from rltk.errors import UserError
from rltk.recipe.schema import Data
from tests import runs

RECIPE = Data(path="embedded/word-problems", levels=(2,), prompt="{question}!", system="Be brief.")


def test_heldout_is_the_recipes_own_data() -> None:
    task = load_task("heldout", RECIPE, split="test", limit=5)
    assert (task.name, task.data, len(task.problems)) == ("word-problems", RECIPE, 5)
    assert {problem.level for problem in task.problems} == {"2"}


def test_a_limit_takes_the_first_and_none_takes_all() -> None:
    first = load_task("word-problems", None, split="test", limit=3).problems
    everything = load_task("word-problems", None, split="test", limit=None).problems
    assert everything[:3] == first and len(everything) == 2000


def test_a_recipes_model_is_asked_as_its_own_problems_are() -> None:
    asked = task_data("gsm8k", RECIPE)
    assert (asked.path, asked.config, asked.prompt, asked.system) == (
        "openai/gsm8k",
        "main",
        "{question}!",
        "Be brief.",
    )
    assert "####" in task_data("gsm8k", None).prompt
    assert task_data("word-problems", None).prompt == "{question}"


def test_a_file_is_a_task(tmp_path: Path) -> None:
    file = runs.problems(tmp_path / "my.problems.jsonl", 4)
    task = load_task(str(file), None, split="test", limit=2)
    assert (task.name, [problem.id for problem in task.problems]) == ("my.problems", ["test/0", "test/1"])


def test_a_name_is_that_of_the_folder_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gsm8k-v1.5").mkdir()
    Path("mine.jsonl").write_text("")
    names = ["openai/gsm8k", "embedded/word-problems", "gsm8k-v1.5", "./gsm8k-v1.5/", "mine.jsonl", "."]
    expected = ["gsm8k", "word-problems", "gsm8k-v1.5", "gsm8k-v1.5", "mine", tmp_path.name]
    assert [short_name(name) for name in names] == expected


def test_two_tasks_of_one_name_would_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (str(runs.problems(tmp_path / name / "test.jsonl", 3)) for name in "ab")
    with pytest.raises(UserError, match="would both be reported as test; evaluate on one of them"):
        load_tasks([first, second], None, split="test", limit=None)
    with pytest.raises(UserError, match="would both be reported as word-problems"):
        load_tasks(["heldout", "word-problems"], RECIPE, split="test", limit=1)


def test_a_single_file_has_nothing_held_out_unless_the_recipe_says_so(tmp_path: Path) -> None:
    """Otherwise a run would be scored on what it trained on."""
    file = runs.problems(tmp_path / "all.jsonl", 20)
    with pytest.raises(UserError, match=r"is one file, so nothing in it is held out: set data\.validation"):
        load_task("heldout", Data(path=str(file)), split="test", limit=None)
    task = load_task("heldout", Data(path=str(file), validation=5), split="validation", limit=None)
    assert len(task.problems) == 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gsm8", "task gsm8 is neither a folder, a .jsonl file nor a task; did you mean gsm8k?"),
        ("./none.jsonl", "task ./none.jsonl does not exist"),
        ("embedded/none", "task embedded/none is neither a folder, a .jsonl file nor a task"),
    ],
)
def test_an_unknown_task_is_refused_without_asking_the_network(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_task(name, None, split="test", limit=None)
    assert str(caught.value).startswith(said)
