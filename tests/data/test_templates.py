"""Prompts by name: their texts never change, their examples are right and our own."""

import re
from pathlib import Path

import pytest
from pyarrow import parquet
from rltk_eval.answers import grade_number, read_number

from rltk.data.tasks import PROMPTS, SOURCES
from rltk.data.templates import TEMPLATES, find_template, recipe_template
from rltk.errors import UserError
from rltk.recipe.load import load_recipe
from rltk.recipe.schema import Data

HASHES = {
    "plain@1": "f70d4e0ee5e3dd3e",
    "gsm8k/zero-shot@1": "66074b5eac961c21",
    "gsm8k/few-shot@1": "0dc9143e2087dcba",
    "math/zero-shot@1": "17168eaf39242e03",
    "math/few-shot@1": "5713378b4aa21876",
}
ANSWERS = {"gsm8k/few-shot@1": ["24", "30", "90", "35"], "math/few-shot@1": ["7", r"\frac{5}{12}", r"2\sqrt{5}", "5"]}


def examples(name: str) -> list[tuple[str, str]]:
    """Question and worked answer of each example."""
    parts = re.split(r"\n\n(?:Question|Problem): ", TEMPLATES[name].text)[1:-1]
    return [(question, answer) for question, answer in (re.split(r"\n(?:Answer|Solution): ", part) for part in parts)]


def test_a_text_never_changes_under_its_name() -> None:
    """Scores of one name must stay comparable: a better text takes the next version."""
    assert {template.name: template.hash for template in TEMPLATES.values()} == HASHES
    assert list(TEMPLATES) == list(HASHES)


def test_the_hash_sees_all_that_is_asked() -> None:
    template = find_template("gsm8k/few-shot@1")
    changed = [
        template._replace(text="{question}?"),
        template._replace(until=None),
        template._replace(system="Be brief."),
    ]
    assert len({other.hash for other in (template, *changed)}) == 4
    assert template._replace(name="x").hash == template.hash


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_recipe_could_ask_so_too(name: str) -> None:
    assert Data(path="a/b", prompt=TEMPLATES[name].text).prompt == TEMPLATES[name].text


def test_gsm8k_examples_end_in_the_answer_that_was_worked_out_by_hand() -> None:
    found = examples("gsm8k/few-shot@1")
    assert [str(read_number(answer, strict=True)) for _, answer in found] == ANSWERS["gsm8k/few-shot@1"]
    for _, answer in found:
        for left, right in re.findall(r"([\d./* +-]*\d) = ([\d./* +-]*\d)", answer):
            assert eval(left) == pytest.approx(eval(right)), answer  # noqa: S307  # digits and operators only


def test_math_examples_end_in_the_answer_that_was_worked_out_by_hand() -> None:
    found = examples("math/few-shot@1")
    assert [re.findall(r"\\boxed\{(.*)\}\$\.$", answer) for _, answer in found] == [
        [answer] for answer in ANSWERS["math/few-shot@1"]
    ]
    assert sum(n for n in range(-50, 50) if n * n - 7 * n + 10 < 0) == 7
    assert sum(second > first for first in range(6) for second in range(6)) / 36 == pytest.approx(5 / 12)
    assert pytest.approx(2 * 5**0.5) == 5 * 10 / (5**2 + 10**2) ** 0.5
    assert (3**50 + 4) % 8 == 5


def test_no_example_is_of_a_data_set(shared_data: Path) -> None:
    files = sorted(shared_data.glob("*/*/**/*.parquet"))
    assert len(files) >= 16
    known = {
        re.sub(r"\W+", " ", str(question)).strip().lower()
        for file in files
        for column in ("question", "problem")
        if column in (table := parquet.read_table(file)).column_names
        for question in table[column].to_pylist()
    }
    ours = [re.sub(r"\W+", " ", question).strip().lower() for name in ANSWERS for question, _ in examples(name)]
    assert len(ours) == 8 and len(known) > 20_000 and known.isdisjoint(ours)


def test_a_problem_of_the_models_own_is_no_part_of_its_answer() -> None:
    few = find_template("gsm8k/few-shot@1")
    completion = " 2 + 5 = 7\n#### 7\n\nQuestion: What is 3 and 3?\nAnswer: #### 6"
    assert not grade_number(completion, "7").correct
    assert grade_number(few.answer(completion), "7").correct
    assert few.answer("#### 7") == "#### 7"
    assert find_template("plain@1").answer(completion) == completion


def test_a_recipes_prompt_is_known_by_its_words() -> None:
    gsm8k = load_recipe("gsm8k_grpo", [], "none").recipe.data
    assert recipe_template(gsm8k).name == "gsm8k/zero-shot@1"
    assert recipe_template(Data(path="a/b")).name == "plain@1"
    own = recipe_template(Data(path="a/b", prompt="{question}!", system="Be brief."))
    assert (own.name, own.text, own.until, own.system) == ("recipe", "{question}!", None, "Be brief.")
    assert recipe_template(Data(path="a/b", system="Be brief.")).name == "recipe"


def test_every_default_exists() -> None:
    assert set(PROMPTS) <= set(SOURCES) and set(PROMPTS.values()) <= set(TEMPLATES)


def test_an_unknown_prompt_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"there is no prompt gsm8k/fewshot@1; did you mean gsm8k/few-shot@1\?"):
        find_template("gsm8k/fewshot@1")
    with pytest.raises(UserError, match=r"there is no prompt zzz; choose one of plain@1, .*math/few-shot@1\."):
        find_template("zzz")
