"""An adapter goes back on the weights it was trained beside, whole, or is refused by whoever reads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rltk_reward_models.base_file import BASE_FILE, read_base
from rltk_reward_models.fingerprint import base_fingerprint
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.cli import main
from rltk.errors import UserError
from rltk.evaluation.measure import make_evaluator
from rltk.evaluation.target import find_target
from rltk.export.load import load_trained
from rltk.export.source import find_source
from rltk.models import bases
from rltk.models.adapters import add_lora
from rltk.models.bases import attach
from rltk.models.load import load_weights
from rltk.models.save import save_model
from rltk.recipe.schema import LoRA, Model
from rltk.serving.choose import choose
from rltk.serving.open import open_service
from rltk.serving.wire import Limits
from tests import runs, tiny
from tests.models.mixtures import CONFIGS, REFUSED, mixture
from tests.onpolicy.made import off_base
from tests.recipes import recipe

CPU = torch.device("cpu")
IDS = torch.randint(5, 60, (2, 13), generator=torch.Generator().manual_seed(0))
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TUNES: dict[str, dict[str, Any]] = {"lora": {}, "dora": {"use_dora": True}, "pissa": {"init": "pissa"}}


def weights(base: Path) -> PreTrainedModel:
    return load_weights(Model(path=str(base), dtype="float32"), CPU)


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.folder(tmp_path / "base")


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    save_model(off_base(add_lora(weights(base), LoRA(rank=4))), tiny.tokenizer(), tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def run(base: Path, adapter: Path, tmp_path: Path) -> Path:
    """As far as exports look."""
    made = recipe(model={"path": str(base), "dtype": "float32"})
    run = runs.begun(tmp_path / "run", made, status="finished")
    shutil.copytree(adapter, run / "model")
    return run


def evaluated(run: Path, adapter: Path) -> None:
    make_evaluator(find_target(str(adapter)), tiny.tokenizer())


def evaluated_run(run: Path, adapter: Path) -> None:
    make_evaluator(find_target(str(run)), tiny.tokenizer())


def exported(run: Path, adapter: Path) -> None:
    load_trained(find_source(str(run)))


def served(run: Path, adapter: Path) -> None:
    open_service(choose([str(adapter)]), Limits()).scheduler.close()


READERS = {"eval": evaluated, "eval of a run": evaluated_run, "export": exported, "serve": served}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_another_base_of_the_same_shape(reader: str, run: Path, adapter: Path, base: Path) -> None:
    read: Callable[[Path, Path], None] = READERS[reader]
    read(run, adapter)
    tiny.folder(base, seed=1)
    folder = run / "model" if read in (exported, evaluated_run) else adapter
    with pytest.raises(UserError) as refused:
        read(run, adapter)
    assert str(refused.value) == (
        f"the adapter in {folder} was trained on other weights than those of {base}; put its own base there, or "
        "remove base.json from its folder to use it on these all the same."
    )
    (folder / BASE_FILE).unlink()
    read(run, adapter)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_weights_that_do_not_meet(reader: str, run: Path, adapter: Path) -> None:
    read, whole = READERS[reader], load_file(adapter / WEIGHTS)
    lost, *kept = whole
    some = {name: whole[name] for name in kept}
    strange = whole | {"base_model.model.odd.lora_A.weight": torch.zeros(2)}
    for found, odd in ((some, lost), (strange, "base_model.model.odd.lora_A.weight")):
        for folder in (adapter, run / "model"):
            save_file(found, folder / WEIGHTS)
        with pytest.raises(UserError, match=rf"1 weights are in one and not in the other, such as {odd}"):
            read(run, adapter)


def test_the_commands_say_it_in_one_sentence(
    base: Path, run: Path, adapter: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny.folder(base, seed=1)
    out, task = str(tmp_path / "new"), str(runs.problems(tmp_path / "task.jsonl", 2))
    for words in (["eval", str(adapter), "--task", task, "--max-new-tokens", "6"], ["export", str(run), out]):
        assert main(words) == 2
        said = capfd.readouterr().err
        assert "was trained on other weights than those of" in said and "Traceback" not in said
    assert not Path(out).exists()


@pytest.mark.parametrize("tune", TUNES)
@pytest.mark.parametrize("architecture", ["qwen3", "gemma3"])
def test_an_adapter_goes_back_on_its_base(architecture: str, tune: str, tmp_path: Path) -> None:
    base = tiny.folder(tmp_path / "base", architecture, tie_word_embeddings=architecture == "gemma3")
    before, model = base_fingerprint(weights(base)), off_base(add_lora(weights(base), LoRA(rank=4, **TUNES[tune])))
    save_model(model, tiny.tokenizer(), tmp_path / "adapter")
    assert read_base(tmp_path / "adapter").fingerprint == before, "PiSSA's own base is no longer what was loaded"
    torch.testing.assert_close(logits(attach(weights(base), tmp_path / "adapter")), logits(model), rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", sorted(CONFIGS.keys() - REFUSED.keys()))
def test_an_adapter_on_experts_goes_back_on_its_base(architecture: str, tmp_path: Path) -> None:
    model = off_base(add_lora(mixture(architecture), LoRA(rank=4, expert_rank="divided")))
    save_model(model, tiny.tokenizer(), tmp_path)
    assert torch.equal(logits(attach(mixture(architecture), tmp_path)), logits(model))


def test_a_base_is_the_same_in_either_type(base: Path, adapter: Path) -> None:
    """Only of what bfloat16 holds: that is what a checkpoint in bfloat16 has, in whatever type it is loaded."""
    half = weights(base).to(torch.bfloat16)  # pyright: ignore[reportArgumentType]
    assert attach(half, adapter)


def test_a_base_is_looked_at_once(base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that follows a policy loads an adapter every few seconds."""
    looked, base_of = list[nn.Module](), bases.base_of
    monkeypatch.setattr(bases, "base_of", lambda model: (looked.append(model), base_of(model))[1])
    service = open_service(choose([str(base)]), Limits())
    try:
        for name in "abc":
            service.add(name, str(adapter))
    finally:
        service.scheduler.close()
    assert len(looked) == 1


def test_what_is_no_policy_is_refused(base: Path, adapter: Path) -> None:
    expected, config = logits(attach(weights(base), adapter)), json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps(config | {"task_type": "SEQ_CLS"}))
    with pytest.raises(UserError, match=r"has task_type SEQ_CLS in its adapter_config\.json.*CAUSAL_LM; name another"):
        attach(weights(base), adapter)
    (adapter / CONFIG).write_text(json.dumps(config | {"task_type": None}))
    assert torch.equal(logits(attach(weights(base), adapter)), expected)


def test_a_damaged_record_is_refused(base: Path, adapter: Path) -> None:
    (adapter / BASE_FILE).write_text("{")
    for read in (lambda: attach(weights(base), adapter), lambda: find_target(str(adapter))):
        with pytest.raises(UserError, match=rf"{BASE_FILE} is damaged \(.*\); save the adapter again\."):
            read()


def test_whole_weights_never_reach_a_base_that_is_served(base: Path, adapter: Path) -> None:
    """PEFT would write them over the base's own embeddings."""
    name = "base_model.model.model.embed_tokens.weight"
    save_file(load_file(adapter / WEIGHTS) | {name: torch.zeros(1024, 32)}, adapter / WEIGHTS)
    with pytest.raises(UserError, match=rf"holds weights that are no LoRA's, such as {name}.*--merge"):
        open_service(choose([str(adapter)]), Limits())
