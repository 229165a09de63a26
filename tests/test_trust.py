"""Nothing that is loaded may run code: pickles are refused, and a repository's own Python unless the recipe says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from rltk_reward_models.scorer import Scorer
from safetensors.torch import load_file

from rltk.errors import UserError
from rltk.evaluation.target import find_target
from rltk.export.source import find_source
from rltk.models.load import load_config, load_tokenizer, load_weights, say_code_may_run
from rltk.models.roles import POLICY
from rltk.models.save import save_model
from rltk.models.tune import tuned
from rltk.recipe.resolved import resolved
from rltk.recipe.schema import Model
from rltk.serving.mixing import refuse_other_kinds
from tests import asked, runs, tiny
from tests.recipes import recipe

CPU = torch.device("cpu")


class Bomb:
    """Unpickled it makes a file, which shows that code ran."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.trace,))


def pickled(folder: Path, safe: str, pickle: str, trace: Path) -> Path:
    """The folder with the file `safe` replaced by a pickle of the same weights, and of a bomb."""
    torch.save({**load_file(folder / safe), "bomb": Bomb(trace)}, folder / pickle)
    (folder / safe).unlink()
    return folder


@pytest.fixture
def adapter(guesser: Path, tmp_path: Path) -> Path:
    """The folder of a policy's adapter."""
    chosen = recipe(model={"path": str(guesser), "dtype": "float32"})
    model, _ = tuned(load_weights(chosen.model, CPU), chosen)
    save_model(model, tiny.tokenizer(), tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_bomb_goes_off_where_pickles_are_read(tmp_path: Path) -> None:
    torch.save({"bomb": Bomb(tmp_path / "trace")}, tmp_path / "weights.bin")
    torch.load(tmp_path / "weights.bin", weights_only=False)
    assert (tmp_path / "trace").exists()


def test_a_pickled_policy_is_refused(guesser: Path, tmp_path: Path) -> None:
    folder, trace = shutil.copytree(guesser, tmp_path / "model"), tmp_path / "trace"
    pickled(folder, "model.safetensors", "pytorch_model.bin", trace)
    with pytest.raises(UserError, match="its safetensors weights could not be loaded"):
        load_weights(Model(path=str(folder)), CPU)
    assert not trace.exists()


def test_a_pickled_adapter_is_refused_by_whatever_loads_adapters(adapter: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickled(adapter, "adapter_model.safetensors", "adapter_model.bin", trace)
    run = tmp_path / "run"
    shutil.copytree(adapter, run / "model")
    (run / "manifest.json").write_text(json.dumps({"recipe": resolved(recipe()), "recipe_hash": "x"}))
    for load in (find_target, find_source):
        with pytest.raises(UserError, match=r"holds no adapter_model\.safetensors"):
            load(str(run))
    with pytest.raises(UserError, match=r"holds no adapter_model\.safetensors"):
        find_target(str(adapter))
    with pytest.raises(UserError, match=r"holds no adapter_model\.safetensors"):
        refuse_other_kinds(adapter)
    with pytest.raises(ValueError, match="needs SEQ_CLS"):
        Scorer.load(adapter)
    assert not trace.exists()


def test_an_adapter_cannot_name_a_module_to_import(adapter: Path) -> None:
    file = adapter / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"megatron_config": {"a": 1}, "megatron_core": "os"}))
    for load in (lambda: find_target(str(adapter)), lambda: refuse_other_kinds(adapter)):
        with pytest.raises(UserError, match="has a megatron_config, which rltk does not read"):
            load()
    file.write_text(json.dumps(config | {"megatron_config": {"a": 1}, "task_type": "SEQ_CLS"}))
    with pytest.raises(ValueError, match="has a megatron_config, which is not read here"):
        Scorer.load(adapter)


CODE = """
from pathlib import Path
from transformers import {base}Config, {base}ForCausalLM, {base}ForSequenceClassification
Path({trace!r}).touch()
class OwnConfig({base}Config):
    model_type = "own"
class OwnModel({base}ForCausalLM):
    config_class = OwnConfig
class OwnScorer({base}ForSequenceClassification):
    config_class = OwnConfig
"""


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that comes with Python of its own, which leaves a trace."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tiny.folder(tmp_path / "coded", "llama")
    (folder / "own.py").write_text(CODE.format(base="Llama", trace=str(tmp_path / "trace")))
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoConfig": "OwnConfig", "AutoModelForCausalLM": "OwnModel"}
    classes["AutoModelForSequenceClassification"] = "OwnScorer"
    config |= {"model_type": "own", "auto_map": {auto: f"own.{name}" for auto, name in classes.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    say_code_may_run.cache_clear()
    return folder


def test_a_models_own_code_runs_only_if_the_recipe_says_so_and_that_is_said_once(
    coded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = runs.write_recipe(tmp_path / "r", coded)
    refused = asked.refusals("train", capfd)(recipe)
    assert refused.startswith(f"model.path = '{coded}': its ")
    assert refused.endswith(
        "which runs only where the recipe says model.trust_remote_code: true; read that code first."
    )
    with pytest.raises(ValueError, match="runs only where trust_remote_code is asked for"):
        Scorer.load(coded)
    assert not (tmp_path / "trace").exists() and not list((tmp_path / "r").glob("runs/*/*"))

    trusted = Model(path=str(coded), trust_remote_code=True)
    for load in (load_config, load_tokenizer):
        load(trusted)
    model = load_weights(trusted, CPU)
    assert type(model).__name__ == "OwnModel" and (tmp_path / "trace").exists()
    said = (
        f"rltk: model.trust_remote_code = true: Python code that comes with {coded} may run here, with all your rights"
    )
    assert capfd.readouterr().err.splitlines().count(said) == 1


def test_a_reward_models_own_code_runs_if_the_caller_says_so(
    coded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="one label, this one has 2"):  # its code was run for that
        Scorer.load(coded, trust_remote_code=True)
    assert (tmp_path / "trace").exists() and "trust_remote_code: Python code" in caplog.text


def test_an_adapter_says_which_revision_of_its_base_it_stands_on(guesser: Path, tmp_path: Path) -> None:
    chosen = recipe(model={"path": str(guesser), "revision": "v1.2", "dtype": "float32"})
    base = load_weights(chosen.model.model_copy(update={"revision": None}), CPU)
    model, _ = tuned(base, chosen)
    save_model(model, tiny.tokenizer(), tmp_path / "adapter")
    assert find_target(str(tmp_path / "adapter")).model.revision == "v1.2"
    assert isinstance(model, PeftModel) and model.peft_config[POLICY].revision == "v1.2"


@pytest.mark.parametrize(
    "url", ["http://me:secret@127.0.0.1:1", "http://127.0.0.1:1/?token=secret", "http://h:1#secret"]
)
def test_a_url_cannot_bring_a_secret_into_the_run_folder(url: str) -> None:
    with pytest.raises(ValueError, match="must hold no user, password or query"):
        recipe(rewards={"quality": {"type": "server", "url": url}})
