"""Every command in README, tutorials and how-tos is parsed and its recipe checked; `documented/` runs them small."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from rltk.cli import parse
from rltk.recipe import load_recipe
from rltk.recipe.schema import PythonReward
from rltk.rewards.own import load_own
from tests.documented.pages import PAGES, ROOT, Command, blocks, commands, simple_commands
from tests.documented.place import prepare
from tests.documented.rules import RULES, rule_for
from tests.documented.tried import small_words

TAKE_RECIPES = ("train", "compare", "check", "plan")
FROM_ELSEWHERE = ("git", "cd", "pytest", "ruff", "pyright", "vllm")
"""Programs that are not rltk's, whose arguments are their own business."""


@pytest.mark.parametrize("page", PAGES)
def test_every_command_parses_and_every_recipe_key_exists(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, page)
    found = commands(page)
    assert found
    for command in found:
        program, *rest = command.words
        if program == "rltk":
            check(command, rest)
        elif program == "python":
            check_module(command, rest)
        elif program == "pip":
            assert_extras_exist(command)
        else:
            assert program in FROM_ELSEWHERE, command.place


def check(command: Command, words: list[str]) -> None:
    """By the real parser and schema, as it is written and as the slow tests run it."""
    rule = rule_for(command)
    for more in {"", "" if rule.not_run else rule.more}:
        args = parse(words[0], [*words[1:], *small_words(more)])
        if words[0] in TAKE_RECIPES and Path(args.recipe).suffix == ".yaml":
            recipe = load_recipe(args.recipe, args.overrides, args.profile).recipe
            for name, reward in recipe.rewards.items():
                if isinstance(reward, PythonReward):
                    load_own(name, reward)
        if words[0] == "train" and args.run:
            (Path(args.run) / "model").mkdir(parents=True, exist_ok=True)  # as it leaves one for the next command


def check_module(command: Command, rest: list[str]) -> None:
    assert rest[0] == "-m" and (rest[1] in ("venv",) or find_spec(rest[1])), command.place


def assert_extras_exist(command: Command) -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]")[2]
    for extra in re.findall(r"\[(\w+)\]", command.text):
        assert re.search(rf"^{extra} = \[", declared, re.MULTILINE), command.place


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_is_python(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}:{block.line}", "exec")


@pytest.mark.parametrize("page", PAGES)
def test_every_part_of_a_recipe_that_is_shown_has_keys_that_exist(page: str, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml" and not block.title:
            recipe = yaml.safe_load((ROOT / "recipes/gsm8k_grpo.yaml").read_text(encoding="utf-8"))
            for section, keys in yaml.safe_load(block.text).items():
                recipe[section] = recipe.get(section, {}) | keys
            file = tmp_path / "recipe.yaml"
            file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
            assert load_recipe(str(file), [], "none").recipe.name == "gsm8k_grpo"


def test_no_rule_is_left_over() -> None:
    used = [rule_for(command).pattern for page in PAGES for command in commands(page) if command.words[0] == "rltk"]
    assert len(used) > 60
    assert {rule.pattern for rule in RULES} == set(used)


def test_a_line_is_read_as_a_shell_reads_it() -> None:
    line = "pip install -e '.[dev]' && rltk train a.yaml 'x={a: b}'  # and so on"
    assert list(simple_commands(line)) == ["pip install -e '.[dev]'", "rltk train a.yaml 'x={a: b}'"]
    assert list(simple_commands("rltk schema > recipe.schema.json")) == ["rltk schema"]
    assert list(simple_commands('eval "$(rltk completion bash)"   # or zsh')) == ["rltk completion bash"]
    assert list(simple_commands("# a comment alone")) == []
    assert list(simple_commands("CUDA_VISIBLE_DEVICES=1 rltk train a.yaml k=v")) == ["rltk train a.yaml k=v"]
