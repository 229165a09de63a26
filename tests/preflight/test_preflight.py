"""What is found before a run, on made rows with planted faults, and on the real rows beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from rltk.cli import main
from rltk.errors import UserError
from rltk.plan.config import find_shape
from rltk.plan.shape import Shape
from rltk.preflight import disk
from rltk.preflight.found import Found, Looked
from rltk.preflight.look import cheap, look_at_rows, refuse_unready
from rltk.preflight.repeats import repeats
from rltk.preflight.template import check_template
from rltk.recipe.locate import shipped_recipes
from rltk.recipe.schema import Recipe
from tests import files, tiny
from tests.recipes import FULL, recipe

GRPO = {"type": "grpo"}

MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


def by_kind(found: list[Found]) -> dict[str, Found]:
    return {one.kind: one for one in found}


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    return tiny.tokenizer()


def stops(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    assert isinstance(tokenizer.eos_token_id, int)
    return [tokenizer.eos_token_id]


def test_the_embedded_template_is_sane(tokenizer: PreTrainedTokenizerBase) -> None:
    assert check_template(tokenizer, stops(tokenizer)) == []


@pytest.mark.parametrize(
    ("template", "kind", "level"),
    [
        (None, "no_template", "note"),
        ("{{ raise_exception('no user here') }}", "template_refuses", "error"),
        ("{% for m in messages %}<|{{ m.role }}|>{% endfor %}", "template_drops", "error"),
        ("{% for m in messages %}{{ m.content }}<|end|>{% endfor %}", "template_opens_nothing", "warning"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "no_end", "warning"),
        ("{% for m in messages %}{{ m.content }}<|user|>{% endfor %}", "template_never_stops", "error"),
        (
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}<|end|>{% endif %}{% endfor %}",
            "template_drops_reply",
            "error",
        ),
    ],
)
def test_a_template_that_would_ruin_a_run_is_found(
    template: str | None, kind: str, level: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    tokenizer.chat_template = template
    found = by_kind(check_template(tokenizer, stops(tokenizer)))
    assert found[kind].level == level


def test_a_stop_token_of_another_model_is_found(tokenizer: PreTrainedTokenizerBase) -> None:
    (found,) = check_template(tokenizer, [0])
    assert found.kind == "template_never_stops" and "generation_config.json" in found.what


def test_repeats_by_hand() -> None:
    train = [("a", "one two"), ("b", "one two"), ("c", "one  two"), ("d", "three")]
    test = [("x", "three"), ("y", "th ree"), ("z", "four")]
    found = by_kind(repeats(train, test, what="problems"))
    assert found["duplicate"].examples == ("b",)
    assert found["duplicate_but_space"].examples == ("c",)
    assert found["leaked"].examples == ("x = d",)
    assert found["leaked_but_space"].examples == ("y = d",)
    assert repeats([("a", "one")], [("x", "two")], what="problems") == []


def shape() -> Shape:
    return find_shape(recipe().model)


def test_room_for_a_run_by_hand() -> None:
    """Three float32 numbers a trained parameter a checkpoint, two kept and one written, and the model."""
    count = shape().parameters
    chosen = recipe(tune=FULL, optim={"steps": 200}, run={"keep": 2, "checkpoint_every": 20})
    assert disk.bytes_of_run(chosen, shape()) == 3 * 4 * count * 3 + 4 * count
    once = recipe(tune=FULL, optim={"steps": 20}, run={"keep": 2, "checkpoint_every": 20})
    assert disk.bytes_of_run(once, shape()) == 3 * 4 * count + 4 * count


def test_a_full_disk_is_refused_before_anything_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = disk.shutil.disk_usage(tmp_path)
    monkeypatch.setattr("rltk.preflight.disk.shutil.disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match=r"checkpoints and model take up to .* MB, and the disk of .* has 1 MB free"):
        refuse_unready(recipe(tune=FULL), tmp_path / "not" / "there", is_quiet=False)


def test_this_disk_has_room(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    found = by_kind(cheap(recipe(), tokenizer, tmp_path / "not" / "there"))
    assert found["disk"].level == "note" and set(found) == {"disk"}


def test_a_learning_rate_that_teaches_a_lora_nothing_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for is_quiet, said in ((False, 1), (True, 0)):
        refuse_unready(recipe(optim={"lr": 1e-6}), tmp_path, is_quiet=is_quiet)
        assert capsys.readouterr().err.count("rltk: optim.lr = 1e-06 is below 8e-05, the least") == said
    refuse_unready(recipe(optim={"lr": "auto"}), tmp_path, is_quiet=False)
    assert "optim.lr" not in capsys.readouterr().err


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    files.jsonl(path, rows)
    return str(path)


def test_rows_are_shown_as_training_sees_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"question": "Tom has 3 apples and buys 4 more. How many apples does he have?", "answer": "#### 1,007"},
        {"question": "Tom has 3 apples and buys  4 more. How many apples does he have?", "answer": "-7"},
        {"question": "Tom has 3 apples. " * 40, "answer": "3", "level": "Level ?"},
    ]
    data = written(tmp_path / "rows.jsonl", rows)
    model = tiny.folder(tmp_path / "model", max_position_embeddings=256)
    overrides = [f"model.path={model}", f"data.path={data}", "eval.tasks=[word-problems]", "--profile", "none"]
    overrides += ["data.config=null", 'data.prompt="{question}"', "rollout.max_new_tokens=64", f"run.dir={tmp_path}"]
    capsys.readouterr()  # what libraries said as the model was made
    assert main(["check", "gsm8k_grpo", "--data", "--json", *overrides]) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    kinds = {one["kind"]: one for one in found["found"]}
    assert {"comma", "negative", "left_out", "odd_level", "duplicate_but_space", "disk"} == set(kinds)
    assert all(kinds[kind]["count"] == 1 for kind in kinds if kind != "disk")
    tokens = tiny.tokenizer()
    asked = tokens.apply_chat_template(
        [{"role": "user", "content": rows[0]["question"]}], tokenize=False, add_generation_prompt=True
    )
    assert found["shown"][0]["text"] == asked
    assert found["shown"][0]["tokens"] == len(tokens.encode(str(asked), add_special_tokens=False))
    assert (found["shown"][0]["answer"], found["rows"]) == ("1007", 3)
    assert main(["check", "gsm8k_grpo", "--data", *overrides]) == 0
    printed = capsys.readouterr().out
    assert "3 training rows of" in printed and printed.endswith("ok\n")
    Path(data).write_text("{\n")
    assert main(["check", "gsm8k_grpo", "--data", "--json", *overrides]) == 2
    printed = capsys.readouterr()
    (sentence,) = json.loads(printed.out)["errors"]
    assert data in sentence and printed.err.endswith(f"rltk: {sentence}\n")


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_data_of_every_recipe_are_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", name, "--data", "data.size=64", "--profile", "laptop"]) == 0
    printed = capsys.readouterr().out
    assert "64 training rows of" in printed and "left out" not in printed
    assert ("    -> " in printed) == (name not in ("hh_grpo", "hh_ppo")), "a prompt of theirs has no answer"


def test_prompts_of_preferences_are_looked_at_as_they_are_asked(tmp_path: Path) -> None:
    """Each once, and nobody is told of replies, which no policy reads there."""
    said = [("Where is the cat?", "a"), ("Where is the cat?", "b"), ("Where is the dog?", "c")]
    rows = [{"prompt": prompt, "chosen": chosen, "rejected": "no"} for prompt, chosen in said]
    rewards = {"quality": {"type": "server", "url": "http://127.0.0.1:9"}}
    found = looked(GRPO, rewards, path=written(tmp_path / "rows.jsonl", rows), kind="preferences")
    assert [row.text.count("cat") for row in found.rows] == [1, 0] and {row.answer for row in found.rows} == {""}
    assert not found.found


def test_a_reward_model_reads_the_last_tokens_of_long_pairs(tmp_path: Path) -> None:
    rows = [{"prompt": "Where is it?", "chosen": "There. " * times, "rejected": "no"} for times in (1, 40)]
    data = {"path": written(tmp_path / "rows.jsonl", rows), "kind": "preferences"}
    for type, kind in (("reward_model", "cut"), ("dpo", "left_out")):
        found = by_kind(looked({"type": type, "max_length": 40}, **data).found)
        assert (found[kind].number, {"cut", "left_out"} & set(found)) == (1, {kind})


def looked(algo: dict[str, Any], rewards: dict[str, Any] | None = None, /, **data: Any) -> Looked:
    """At real rows, with the tokenizer and the context of the embedded policy."""
    sections = {"model": {"path": "embedded/policy"}, "data": data, "algo": algo, "tune": {"type": "lora"}}
    if rewards is not None:
        sections["rewards"] = rewards
    return look_at_rows(Recipe.model_validate({"name": "real", **sections}), tiny.tokenizer())


def test_gsm8k_has_commas_and_negatives(shared_data: Path) -> None:
    """79 and 3 of 7,473 training answers, as counted in the files."""
    found = by_kind(looked(GRPO, path=str(shared_data / "openai" / "gsm8k"), config="main").found)
    assert (found["comma"].number, found["negative"].number) == (79, 3)
    assert "unrewarded" not in found and "leaked" not in found


@pytest.mark.slow
def test_math_has_two_leaked_problems_and_two_odd_levels(shared_data: Path, patient_checker: None) -> None:
    folder = str(shared_data / "EleutherAI" / "hendrycks_math")
    columns = {"question": "problem", "answer": "solution", "subject": "type", "kind": "math", "config": MATH_SUBJECTS}
    found = by_kind(looked(GRPO, path=folder, **columns).found)
    assert (found["leaked_but_space"].number, found["odd_level"].number) == (2, 2)
    assert "leaked" not in found
    assert found["unreadable_gold"].number == 2  # number_theory has two empty boxes


@pytest.mark.slow
def test_hh_has_equal_and_empty_pairs(shared_data: Path) -> None:
    """36 rows with equal sides and 11 with an empty reply, in the four official test files."""
    folder = str(shared_data / "Anthropic" / "hh-rlhf")
    found = by_kind(looked({"type": "dpo"}, path=folder, kind="preferences", train="test").found)
    assert (found["equal_sides"].number, found["empty_reply"].number) == (36, 11)
