"""What is served must stand on one base, held in one way; the sentence says in what two differ. No weights are read."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rltk.cli import main
from rltk.commands.chat import choose_side
from rltk.errors import UserError
from rltk.models.load import load_weights
from rltk.recipe.schema import Model, Rollout
from rltk.serving.batch import Batch
from rltk.serving.choose import Served, base_words, choose
from rltk.serving.open import load_adapter
from tests import runs, tiny
from tests.recipes import recipe
from tests.reward_models import models

BASE = "some/base"


def finished(path: Path, **model: str) -> Path:
    """A run with an adapter, as far as one looks before anything is loaded."""
    runs.begun(path, recipe(model={"path": BASE, **model}), status="finished")
    (path / "model").mkdir()
    (path / "model" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": BASE}))
    save_file({"lora": torch.zeros(1)}, path / "model" / "adapter_model.safetensors")
    return path


def test_base_of_a_run_of_all_weights_is_the_model_that_its_recipe_names(tmp_path: Path) -> None:
    made = recipe(model={"path": BASE, "revision": "v2", "dtype": "float32"}, tune={"type": "full"})
    run = runs.begun(tmp_path / "run", made, status="finished")
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    ended, begun = choose_side(str(run), str(run), None), choose_side("base", str(run), None)
    assert (ended.base.path, ended.base.revision) == (str(run / "model"), None)
    assert (begun.base, begun.base_name, begun.data) == (made.model, BASE, made.data)
    assert choose_side("base", str(run), "bfloat16").base == made.model.model_copy(update={"dtype": "bfloat16"})


@pytest.mark.parametrize(("key", "value"), [("quantize", "nf4"), ("revision", "v2")])
def test_a_base_that_is_held_otherwise_is_another(key: str, value: str, tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other", **{key: value})
    assert set(choose([str(one)]).adapters) == {"one"}
    with pytest.raises(UserError) as refused:
        choose([str(one), str(other)])
    assert str(refused.value).startswith(
        f"{other} stands on {BASE} (model.{key} = {value}) and {one} on {BASE} (model.{key} = null); one server"
    )


def test_an_adapter_that_comes_later_is_held_to_the_same(tmp_path: Path) -> None:
    other = finished(tmp_path / "other", quantize="nf4")
    served = Served(Model(path=BASE), "base", {}, Rollout())
    batch = Batch(tiny.model("qwen3"), stops=(), dtype=torch.float32)
    said = r"stands on some/base \(model.quantize = nf4\), and some/base \(model.quantize = null\) is served"
    with pytest.raises(UserError, match=said):
        load_adapter(batch, served, other)


def test_a_reward_model_is_refused_in_every_form_by_all_that_ask_a_policy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, adapter = (
        models.whole(tmp_path / "whole"),
        models.adapter(tmp_path / "adapter", tiny.folder(tmp_path / "base")),
    )
    out = ("--out", str(tmp_path / "out.jsonl"))
    for folder in (whole, adapter):
        for argv in (
            ["serve", folder],
            ["chat", folder],
            ["sample", folder, "--task", "word-problems", *out],
            ["eval", "embedded/policy", "--against", folder, "--task", "word-problems"],
        ):
            capfd.readouterr()  # what libraries said as the models were made
            assert main([str(word) for word in argv]) == 2
            printed = capfd.readouterr()
            assert printed.out == "" and printed.err == (
                f"rltk: {folder} is a reward model, which writes nothing; name a policy, or serve its scores with: "
                f"rltk serve-reward {folder}\n"
            )


def test_weights_of_a_reward_model_are_never_read_as_those_of_a_policy(tmp_path: Path) -> None:
    """Of a hub's model only its config says so; transformers would draw an output head at random."""
    folder = models.whole(tmp_path / "whole")
    with pytest.raises(UserError, match=r"is a reward model or another classifier \(Qwen2ForSequenceClassification\)"):
        load_weights(Model(path=str(folder)), torch.device("cpu"))


def test_paths_are_enough_where_they_are_all_that_differs() -> None:
    assert base_words(Model(path="a/b"), Model(path="c/d")) == "a/b"
