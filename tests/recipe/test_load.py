"""Layers: the file, a profile over it, the command line over both; and how a recipe is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rltk.errors import UserError
from rltk.recipe import Loaded, load_recipe
from rltk.recipe.accelerator import is_accelerator_visible
from rltk.recipe.arithmetic import has_bfloat16
from rltk.recipe.load import FLOAT32_NOTE, LAPTOP_NOTE, choose_profile
from rltk.recipe.locate import shipped_recipes
from rltk.recipe.schema import GRPO, RLOO, Full, LoRA
from tests.recipe.texts import recipe_text

Load = Callable[..., Loaded]
Refused = Callable[..., list[str]]

LAYERED = (
    recipe_text(algo="{type: grpo, group: 4, scale: batch}", optim="{steps: 100, lr: 1e-5}")
    + """\
profiles:
  laptop:
    algo: {group: 2}
    optim: {steps: 10}
  leave-one-out: {algo: {type: rloo, prompts: 6}}
"""
)


def test_a_profile_changes_what_it_names_and_nothing_else(load: Load) -> None:
    plain, laptop = load(LAYERED).recipe, load(LAYERED, profile="laptop").recipe
    assert plain.algo == GRPO(group=4, scale="batch")
    assert laptop.algo == GRPO(group=2, scale="batch")
    assert (plain.optim.steps, laptop.optim.steps, laptop.optim.lr) == (100, 10, 1e-5)


def test_a_profile_that_changes_the_type_replaces_the_section(load: Load) -> None:
    assert load(LAYERED, profile="leave-one-out").recipe.algo == RLOO(prompts=6)


def test_the_command_line_goes_last(load: Load) -> None:
    loaded = load(LAYERED, "optim.steps=7", "optim.steps=8", profile="laptop")
    assert (loaded.recipe.optim.steps, loaded.profile) == (8, "laptop")


def test_the_file_is_untouched_where_nothing_overrides_it(load: Load) -> None:
    assert load(LAYERED, "seed=3").recipe == load(LAYERED).recipe.model_copy(update={"seed": 3})


@pytest.mark.parametrize(
    ("overrides", "tune"),
    [
        (["tune.type=full"], Full()),
        (["tune.type=lora"], LoRA(rank=4)),
        (["tune.type=full", "tune.type=lora", "tune.alpha=8"], LoRA(alpha=8)),
        (["tune={type: full}"], Full()),
        (["tune.targets=[q_proj,v_proj]"], LoRA(rank=4, targets=("q_proj", "v_proj"))),
        (["tune.targets=attention"], LoRA(rank=4, targets="attention")),
    ],
)
def test_overrides_of_a_section_with_a_type(load: Load, overrides: list[str], tune: LoRA | Full) -> None:
    assert load(recipe_text(tune="{type: lora, rank: 4}"), *overrides).recipe.tune == tune


def test_values_on_the_command_line_are_yaml(load: Load) -> None:
    overrides = ["eval.limit=null", "data.system=", "eval.before=no", "data.prompt='{question} = ?'", "eval.tasks=[]"]
    recipe = load(recipe_text(data="{path: c/d, system: hi}"), *overrides).recipe
    assert (recipe.eval.limit, recipe.data.system, recipe.eval.before, recipe.eval.tasks) == (None, None, False, ())
    assert recipe.data.prompt == "{question} = ?"


def test_an_override_may_fill_what_the_file_leaves_out(load: Load) -> None:
    assert load(recipe_text(model=None, tune=None), "model.path=a/b", "tune.type=full").recipe.tune == Full()


def test_a_profile_may_fill_what_the_file_leaves_out(load: Load) -> None:
    text = recipe_text(model=None) + "profiles: {big: {model: {path: a/b}}, small: {model: {path: c/d}}}\n"
    assert load(text, profile="small").recipe.model.path == "c/d"


def test_a_fault_in_a_profile_that_is_not_chosen_is_found(refused: Refused) -> None:
    text = LAYERED + "  cluster:\n    algo: {grup: 64}\n    optim:\n      warmup: 200\n"
    expected = [
        "x.yaml:13: profile cluster: algo.grup = 64 is not a key of algo; did you mean group?",
        "x.yaml:15: profile cluster: optim.warmup = 200 must be less than optim.steps (100).",
    ]
    assert refused(text) == refused(text, profile="laptop") == refused(text, profile="cluster") == expected


def test_a_fault_that_the_profile_covers_is_found(refused: Refused) -> None:
    text = recipe_text(optim="{lr: -1}") + "profiles: {laptop: {optim: {lr: 1}}}\n"
    assert refused(text, profile="laptop") == ['x.yaml:6: optim.lr = -1 must be "auto" or a number greater than 0.']


def test_a_rule_broken_by_a_profile_is_placed_in_the_profile(refused: Refused) -> None:
    text = recipe_text(optim="{warmup: 20}") + "profiles:\n  laptop:\n    optim: {steps: 10}\n"
    assert refused(text) == ["x.yaml:9: profile laptop: optim.warmup = 20 must be less than optim.steps (10)."]


def test_a_path_of_a_profile_that_is_not_chosen_need_not_be_here(load: Load, refused: Refused) -> None:
    text = recipe_text() + "profiles: {cluster: {model: {path: /nowhere/model}}}\n"
    assert load(text).recipe.model.path == "a/b"
    assert refused(text, profile="cluster") == [
        "x.yaml:6: profile cluster: model.path = /nowhere/model does not exist: there is no folder /nowhere."
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("lapptop", "x.yaml has no profile lapptop; did you mean laptop?"),
        ("zzz", "x.yaml has no profile zzz; choose one of laptop, leave-one-out, none, auto."),
    ],
)
def test_an_unknown_profile_is_refused(refused: Refused, asked: str, expected: str) -> None:
    assert refused(LAYERED, profile=asked) == [expected]


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ("[laptop]", 'x.yaml:6: profiles = ["laptop"] must map a name to the keys it changes.'),
        ("{laptop: }", "x.yaml:6: profiles.laptop = null must be the keys that it changes."),
        ("{none: {seed: 1}}", "x.yaml:6: a profile cannot be called none, which has a meaning of its own."),
        (
            "{a: {profiles: {seed: 1}}}",
            "x.yaml:6: profile a: profiles is not a key of a recipe; its keys are name, seed, "
            "model, data, algo, tune, rewards, optim, rollout, eval, run, hardware, compare.",
        ),
    ],
)
def test_profiles_have_a_form(refused: Refused, profiles: str, expected: str) -> None:
    assert refused(recipe_text(profiles=profiles)) == [expected]


@pytest.mark.parametrize(
    ("asked", "available", "has_accelerator", "name", "notes"),
    [
        ("auto", ["laptop"], False, "laptop", (LAPTOP_NOTE,)),
        ("auto", ["laptop"], True, None, ()),
        ("auto", ["cluster"], False, None, ()),
        ("none", ["laptop"], False, None, ()),
        ("laptop", ["laptop"], True, "laptop", ()),
    ],
)
def test_the_laptop_profile_is_for_machines_without_an_accelerator(
    asked: str, available: list[str], has_accelerator: bool, name: str | None, notes: tuple[str, ...]
) -> None:
    assert choose_profile(asked, available, "x.yaml", has_accelerator) == (name, notes)


@pytest.mark.parametrize(
    ("devices", "environ", "visible"),
    [
        ([], {}, False),
        (["null", "nvidiactl", "nvidia-uvm"], {}, False),
        (["nvidia0"], {}, True),
        (["nvidia11"], {"CUDA_VISIBLE_DEVICES": "11"}, True),
        (["kfd"], {}, True),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, False),
        (["nvidia0"], {"CUDA_VISIBLE_DEVICES": "-1"}, False),
    ],
)
def test_an_accelerator_is_a_device_that_is_not_hidden(
    tmp_path: Path, devices: list[str], environ: dict[str, str], visible: bool
) -> None:
    for device in devices:
        (tmp_path / device).touch()
    assert is_accelerator_visible(tmp_path, environ) is visible


def test_a_folder_of_devices_that_does_not_exist_shows_none(tmp_path: Path) -> None:
    assert not is_accelerator_visible(tmp_path / "none", {})


@pytest.mark.parametrize(
    ("cpuinfo", "known"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name\t: bf16 in name only\nflags\t\t: fpu\n", False),
        ("uarch\t\t: of another kind\n", True),
        (None, True),
    ],
)
def test_a_processor_has_bfloat16_unless_it_says_what_it_has(tmp_path: Path, cpuinfo: str | None, known: bool) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_bfloat16(tmp_path / "cpuinfo") is known


@pytest.mark.parametrize(
    ("overrides", "asked", "dtype"),
    [
        ([], {}, "float32"),
        (["model.dtype=bfloat16"], {}, "bfloat16"),
        ([], {"profile": "none"}, "bfloat16"),
        ([], {"profile": "auto", "is_for_here": False}, "bfloat16"),
    ],
)
def test_what_a_processor_lacks_a_recipe_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], asked: dict[str, Any], dtype: str
) -> None:
    monkeypatch.setattr("rltk.recipe.load.dtype_here", lambda: "float32")
    (tmp_path / "x.yaml").write_text(LAYERED)
    loaded = load_recipe(str(tmp_path / "x.yaml"), overrides, **asked)
    assert loaded.recipe.model.dtype == dtype
    assert (FLOAT32_NOTE in loaded.notes) == (dtype == "float32")


def test_without_an_accelerator_the_laptop_profile_is_announced(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("rltk.recipe.load.dtype_here", lambda: "bfloat16")
    loaded = load(LAYERED, profile="auto")
    assert (loaded.profile, loaded.notes) == ("laptop", (LAPTOP_NOTE,))
    assert isinstance(loaded.recipe.algo, GRPO) and loaded.recipe.algo.group == 2


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            "gsm8k_grop",
            "gsm8k_grop is neither a file nor one of the recipes that come with rltk; did you mean gsm8k_grpo?",
        ),
        ("y.yaml", "y.yaml does not exist; did you mean x.yaml?"),
        ("none/x.yaml", "none/x.yaml does not exist: there is no folder none."),
        ("folder", "folder is a folder; name the recipe file in it."),
    ],
)
def test_a_recipe_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").touch()
    Path("folder").mkdir()
    with pytest.raises(UserError) as caught:
        load_recipe(asked)
    assert str(caught.value) == expected


def test_a_file_goes_before_a_shipped_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe("gsm8k_grpo").recipe.name == "gsm8k_grpo"
    Path("gsm8k_grpo").write_text(recipe_text(name="mine"))
    assert load_recipe("gsm8k_grpo").recipe.name == "mine"


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_here_and_on_a_gpu(name: str) -> None:
    assert load_recipe(name, profile="none").recipe.name == load_recipe(name, profile="laptop").recipe.name == name


def test_some_recipes_are_shipped() -> None:
    assert "gsm8k_grpo" in shipped_recipes()


def test_the_laptop_profile_of_gsm8k_takes_back_what_was_for_gsm8k() -> None:
    recipe = load_recipe("gsm8k_grpo", profile="laptop").recipe
    assert (recipe.model.path, recipe.data.path) == ("embedded/policy", "embedded/word-problems")
    assert (recipe.data.config, recipe.data.prompt) == (None, "{question}")
