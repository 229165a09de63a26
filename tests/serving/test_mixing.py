"""Rows of several adapters in one batch compute what each adapter computes alone, by PEFT's own layers."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from rltk.errors import UserError
from rltk.serving.mixing import Adapter, Mixing
from tests.serving import made

IDS = torch.randint(5, 60, (6, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def base(folders: dict[str, Path]) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folders["base"], dtype=torch.float32).eval().requires_grad_(False)


def logits(model: object, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits  # pyright: ignore[reportCallIssue]


def test_each_row_gets_its_own_adapter_and_the_base_stays_as_it_was(
    folders: dict[str, Path], base: PreTrainedModel
) -> None:
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    plain, mixing = logits(base, IDS), Mixing(base)
    with torch.no_grad(), mixing.overlaid():
        loaded = {name: mixing.load(folders[name], torch.float32) for name in made.KINDS}
        order = [*made.KINDS, "base", "all"]
        owners: list[Adapter | None] = [loaded.get(name) for name in order]
        with mixing.serving(owners):
            found = logits(base, IDS)
        assert torch.equal(logits(base, IDS), plain)
    assert torch.equal(found[order.index("base")], plain[order.index("base")])
    assert {name: torch.equal(weight, before[name]) for name, weight in base.state_dict().items()} == dict.fromkeys(
        before, True
    )
    for row, name in enumerate(order):
        if name != "base":
            model = AutoModelForCausalLM.from_pretrained(folders["base"], dtype=torch.float32)
            expected = logits(PeftModel.from_pretrained(model, str(folders[name])).eval(), IDS[row : row + 1])[0]
            torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-4)
            assert (found[row] - plain[row]).abs().max() > 0.1, "the adapter changes something"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "has use_dora"),
        ({"modules_to_save": ["score"]}, "has modules_to_save"),
        ({"target_parameters": ["experts.up"]}, "has target_parameters"),
        ({"init_lora_weights": "pissa"}, "changes the base too"),
        ({"bias": "all"}, "trained biases"),
        ({"peft_type": "IA3"}, "another peft_type than LORA"),
    ],
)
def test_what_cannot_share_a_batch_is_refused_with_the_way_out(
    folders: dict[str, Path], base: PreTrainedModel, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = shutil.copytree(folders["all"], tmp_path / "odd")
    config = json.loads((path / "adapter_config.json").read_text()) | changes
    (path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"{said}.*--merge"):
        Mixing(base).load(path, torch.float32)


def test_an_adapter_that_lacks_weights_is_refused(
    folders: dict[str, Path], base: PreTrainedModel, tmp_path: Path
) -> None:
    path = shutil.copytree(folders["all"], tmp_path / "partial")
    weights = load_file(path / "adapter_model.safetensors")
    lacking = next(iter(weights))
    save_file({name: weight for name, weight in weights.items() if name != lacking}, path / "adapter_model.safetensors")
    mixing = Mixing(base)
    with torch.no_grad(), mixing.overlaid(), warnings.catch_warnings(), pytest.raises(UserError) as caught:
        warnings.simplefilter("ignore")
        mixing.load(path, torch.float32)
    assert f"1 weights are in one and not in the other, such as {lacking}" in str(caught.value)
    (path / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no adapter_model\.safetensors"):
        mixing.load(path, torch.float32)


def test_an_adapter_of_another_shape_is_refused_and_leaves_nothing_in_the_model(
    folders: dict[str, Path], base: PreTrainedModel, tmp_path: Path
) -> None:
    path, plain = shutil.copytree(folders["all"], tmp_path / "odd"), logits(base, IDS)
    config = json.loads((path / "adapter_config.json").read_text()) | {"r": 5}
    (path / "adapter_config.json").write_text(json.dumps(config))
    kinds = [type(module) for module in base.modules()]
    mixing = Mixing(base)
    with mixing.overlaid(), pytest.raises(UserError, match="could not be loaded"):
        mixing.load(path, torch.float32)
    assert [type(module) for module in base.modules()] == kinds
    assert torch.equal(logits(base, IDS), plain)
    with torch.no_grad(), mixing.overlaid():
        assert mixing.load(folders["all"], torch.float32).terms
