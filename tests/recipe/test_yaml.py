"""What is not YAML, or not a recipe, or YAML in one of its odder moods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rltk.errors import UserError
from rltk.recipe import Loaded, load_recipe
from rltk.recipe.schema import GRPO
from tests.recipe.texts import recipe_text

Load = Callable[..., Loaded]
Refused = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "x.yaml: the file is empty; `rltk recipes` lists some to start from."),
        ("# only a comment\n", "x.yaml: the file is empty; `rltk recipes` lists some to start from."),
        ("- a\n- b\n", 'x.yaml:1: a recipe is made of keys (`name: my-run`), not ["a", "b"].'),
        ("just words\n", "x.yaml:1: a recipe is made of keys (`name: my-run`), not just words."),
        (
            "name: x\nalgo:\n\ttype: grpo\n",
            "x.yaml:3: this is not YAML: found character '\\t' that cannot start any token "
            "(indent with spaces, not tabs).",
        ),
        ("name: x\nmodel: a: b\n", "x.yaml:2: this is not YAML: mapping values are not allowed here."),
        ("name: x\nmodel: {path: a/b\ndata: 3\n", "x.yaml:3: this is not YAML: expected ',' or '}', but got ':'."),
        (
            "name: x\n---\nname: y\n",
            "x.yaml:2: this is not YAML: expected a single document in the stream but found another document.",
        ),
        ("name: x\0\n", "x.yaml: this is not YAML: special characters are not allowed (position 7)."),
        (
            "name: !!python/object:os.system x\n",
            "x.yaml:1: this is not YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system'.",
        ),
        ("name: 2024-13-45\n", "x.yaml:1: name '2024-13-45' cannot be read: month must be in 1..12."),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be a word, and here a list or a mapping stands in its place."),
        ("name: x\nseed: 1\nname: y\n", "x.yaml:3: name is given twice, first on line 1."),
        ("algo:\n  group: 4\n  type: grpo\n  group: 8\n", "x.yaml:4: algo.group is given twice, first on line 2."),
        (
            "name: x\nprofiles:\n  a:\n    optim: {lr: 1, lr: 2}\n",
            "x.yaml:4: profiles.a.optim.lr is given twice, first on line 4.",
        ),
        ("a: &a\n  b: *a\n", "x.yaml:2: a.b.b... is nested too deeply."),
    ],
)
def test_what_cannot_be_read_is_one_sentence(refused: Refused, text: str, expected: str) -> None:
    assert refused(text) == [expected]


def test_a_key_given_twice_on_the_command_line_is_refused(refused: Refused) -> None:
    assert refused(recipe_text(), "optim={lr: 1, lr: 2}") == ["command line: lr is given twice."]


def test_bytes_that_are_not_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(UserError, match=r"^x\.yaml is not text in UTF-8 \(byte 6\)\.$"):
        load_recipe("x.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path, load: Load) -> None:
    assert load("\ufeff" + recipe_text()).recipe.name == "x"


@pytest.mark.parametrize(
    ("written", "read"), [("1e-5", 1e-5), ("1E-5", 1e-5), ("1.0e-5", 1e-5), (".5e1", 5.0), ("3", 3.0), ("0.25", 0.25)]
)
def test_every_way_to_write_a_number_is_read(load: Load, written: str, read: float) -> None:
    recipe = load(recipe_text(optim=f"{{lr: {written}, eps: {written}}}")).recipe
    assert recipe.optim.lr == recipe.optim.eps == read
    assert load(recipe_text(), f"optim.lr={written}").recipe.optim.lr == read


@pytest.mark.parametrize(
    ("written", "read"), [("yes", True), ("no", False), ("on", True), ("off", False), ("true", True)]
)
def test_yaml_1_1_booleans_are_booleans(load: Load, written: str, read: bool) -> None:
    assert load(recipe_text(eval=f"{{before: {written}}}")).recipe.eval.before is read


def test_words_that_look_like_something_else_are_text_in_quotes(load: Load) -> None:
    assert load(recipe_text(name='"no"', data='{path: c/d, config: "1e5"}')).recipe.data.config == "1e5"


def test_anchors_and_merge_keys_work(load: Load) -> None:
    loaded = load(
        recipe_text(algo="&a {type: grpo, prompts: 4}") + "profiles:\n"
        "  p: {algo: {<<: *a, prompts: 6, group: 4}}\n"
        "  q: &q {algo: {<<: *a, group: 3}}\n"
        "  r: *q\n",
        profile="r",
    )
    algo = loaded.recipe.algo
    assert isinstance(algo, GRPO) and (algo.prompts, algo.group) == (4, 3)


def test_a_fault_behind_an_alias_is_placed_where_it_is_written(refused: Refused) -> None:
    text = recipe_text(algo="&a {type: grpo, group: 1}") + "profiles:\n  p: {algo: *a}\n"
    assert refused(text, profile="p")[0] == "x.yaml:4: algo.group = 1 must be a whole number of at least 2."
