"""Evaluation tasks: which problems a name stands for, how they are asked, and what they are called."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rltk.data.tasks import Task, load_tasks, short_name, task_data
from rltk.errors import UserError
from rltk.recipe.schema import Data
from tests import runs

RECIPE = Data(path="embedded/word-problems", levels=(2,), prompt="{question}!", system="Be brief.")


def load_task(name: str, recipe_data: Data | None, *, split: str = "test", limit: int | None, **options: Any) -> Task:
    [task] = load_tasks([name], recipe_data, split=split, limit=limit, **options)
    return task


def test_heldout_is_the_recipes_own_data() -> None:
    task = load_task("heldout", RECIPE, split="test", limit=5)
    assert (task.name, task.data, len(task.problems)) == ("word-problems", RECIPE, 5)
    assert task.prompt.name == "recipe"
    assert {problem.level for problem in task.problems} == {"2"}


@pytest.mark.parametrize("name", ["word-problems", "equations", "dialogues"])
def test_a_limit_takes_the_first_and_none_takes_all(name: str) -> None:
    data = Data(path="embedded/dialogues", kind="preferences") if name == "dialogues" else None
    source = name if data is None else "heldout"
    first = load_task(source, data, split="test", limit=3).problems
    everything = load_task(source, data, split="test", limit=None).problems
    assert everything[:3] == first and len(everything) == 2000


def test_a_recipes_model_is_asked_as_its_own_problems_are_unless_told_otherwise() -> None:
    asked = load_task("word-problems", RECIPE, limit=1)
    assert (asked.data.levels, asked.data.prompt, asked.data.system) == ((1, 2, 3), "{question}!", "Be brief.")
    told = load_task("word-problems", RECIPE, limit=1, prompt="gsm8k/few-shot@1")
    assert (told.data.prompt, told.data.system) == (told.prompt.text, None) and told.prompt.until == "\nQuestion:"
    assert load_task("word-problems", None, limit=1).prompt.name == "plain@1"


def test_a_path_is_read_as_the_recipes_data_is_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"q": "6 and 1?", "a": 7, "question": "6 and 2?", "answer": 8}))
    recipe = Data(path="a/b", question="q", answer="a")
    read = [
        load_task(str(tmp_path / "a.jsonl"), data, limit=None, reading=reading).problems[0]
        for data, reading in ((None, None), (recipe, None), (RECIPE, None), (recipe, {"answer": "answer"}))
    ]
    assert [(problem.question, problem.answer) for problem in read] == [
        ("6 and 2?", "8"),
        ("6 and 1?", "7"),
        ("6 and 2?", "8"),
        ("6 and 1?", "8"),
    ]
    assert task_data("gsm8k", recipe, {}).question == "question"


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
        load_task(name, None, limit=None)
    assert str(caught.value).startswith(said)


# Data sets in a folder in place of the hub


@pytest.fixture
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_a_folder_of_data_sets_stands_for_the_hub(tmp_path: Path, _cache: None) -> None:
    folder = tmp_path / "root" / "openai" / "gsm8k" / "main"
    folder.mkdir(parents=True)
    runs.problems(folder / "test.jsonl", 3)
    (folder.parent / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: test, path: main/test.jsonl}\n---\n"
    )
    named = load_task("gsm8k", None, limit=None, root=str(tmp_path / "root"))
    by_path = load_task(str(folder.parent), None, limit=None)
    assert named.problems == by_path.problems and len(named.problems) == 3
    assert named.name == by_path.name == "gsm8k"
    assert named.prompt.name == by_path.prompt.name == "gsm8k/zero-shot@1"


def test_a_folder_without_the_data_set_is_refused(tmp_path: Path) -> None:
    said = f"there is no HuggingFaceH4/MATH-500 in {tmp_path}; name a folder that holds data sets by their hub ids."
    with pytest.raises(UserError, match=re.escape(said)):
        load_task("math500", None, limit=None, root=str(tmp_path))


def test_what_is_on_this_machine_anyway_needs_no_root(tmp_path: Path) -> None:
    file = runs.problems(tmp_path / "mine.jsonl", 2)
    assert len(load_task(str(file), None, limit=None, root=str(tmp_path)).problems) == 2
    assert len(load_task("word-problems", None, limit=2, root=str(tmp_path)).problems) == 2


def test_gsm8k_in_a_folder(shared_data: Path, _cache: None) -> None:
    task = load_task("gsm8k", None, limit=None, root=str(shared_data))
    assert (task.name, len(task.problems), task.problems[0].answer) == ("gsm8k", 1319, "18")
    recipe = Data(path="openai/gsm8k", config="main", prompt="{question}!")
    assert load_task("heldout", recipe, limit=None, root=str(shared_data)).problems == task.problems


def test_math_in_a_folder(shared_data: Path, _cache: None) -> None:
    """All seven subjects, 5,000 problems; the two levels that MATH does not know stay as written."""
    tasks = [
        load_task("math", None, limit=None, root=str(shared_data)),
        load_task(str(shared_data / "EleutherAI" / "hendrycks_math"), None, limit=None),
    ]
    assert tasks[0] == tasks[1]._replace(data=tasks[0].data)
    [task, _] = tasks
    assert (task.name, task.prompt.name, len(task.problems)) == ("math", "math/zero-shot@1", 5000)
    assert len({problem.id for problem in task.problems}) == 5000
    assert task.problems[0].id == "test/algebra/0" and {problem.kind for problem in task.problems} == {"math"}
    assert len({problem.subject for problem in task.problems[:7]}) == 7
    levels = Counter(problem.level for problem in task.problems)
    assert set(levels) <= {"1", "2", "3", "4", "5", "Level ?"} and levels["5"] == 1324


def test_math500_in_a_folder(shared_data: Path, _cache: None) -> None:
    task = load_task("math500", None, limit=None, root=str(shared_data))
    assert (task.name, len(task.problems), task.prompt.name) == ("math500", 500, "math/zero-shot@1")
    first = task.problems[0]
    assert (first.level, first.subject, first.kind) == ("2", "Precalculus", "math")
    assert len({problem.subject for problem in task.problems}) == 7
