"""What is saved computes, once loaded as anyone would load it, the same logits to the last bit."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from rltk.errors import UserError
from rltk.models.adapters import add_lora, shrink_frozen
from rltk.models.load import load_weights, stop_tokens
from rltk.models.save import save_model
from rltk.recipe.schema import LoRA, Model
from rltk.rollout.native import NativeSampler
from rltk.rollout.sampler import Sampling
from tests import tiny
from tests.models.mixtures import CONFIGS, REFUSED, mixture
from tests.onpolicy.made import off_base

CPU = torch.device("cpu")
IDS = torch.randint(5, 60, (2, 13), generator=torch.Generator().manual_seed(0))


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits


def loaded(folder: Path) -> PreTrainedModel:
    """Without any code of ours."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_a_model_that_was_saved_without_its_head_is_refused_unless_the_embeddings_are_its_head(tmp_path: Path) -> None:
    """transformers would draw the head at random."""
    for is_tied in (False, True):
        whole = tiny.model(tie_word_embeddings=is_tied)
        body = next(child for child in whole.children() if isinstance(child, PreTrainedModel))
        body.save_pretrained(tmp_path / str(is_tied))
        if is_tied:
            assert torch.equal(logits(load_weights(Model(path=str(tmp_path / "True")), CPU)), logits(whole))
            continue
        with pytest.raises(UserError, match=r"its weights lack lm_head\.weight, which would be random numbers"):
            load_weights(Model(path=str(tmp_path / "False")), CPU)


@pytest.mark.parametrize("expert_rank", ["same", "divided"])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_an_adapter_comes_back(architecture: str, expert_rank: Any, tmp_path: Path) -> None:
    tune = LoRA(rank=4, alpha=6, expert_rank=expert_rank if architecture == "qwen3_moe" else "same")
    base = tiny.folder(tmp_path / "base", architecture)
    model = off_base(add_lora(load_weights(Model(path=str(base)), CPU), tune))
    expected = logits(model)
    save_model(model, tiny.tokenizer(), tmp_path / "adapter")
    again = PeftModel.from_pretrained(loaded(base), str(tmp_path / "adapter")).eval()
    assert torch.equal(logits(again), expected)
    assert not torch.equal(logits(loaded(base)), expected)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert sum(tensor.numel() for tensor in saved.values()) == sum(
        w.numel() for w in model.parameters() if w.requires_grad
    )
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        base
    )


@pytest.mark.parametrize("architecture", sorted(CONFIGS.keys() - REFUSED.keys()))
def test_an_adapter_on_experts_of_any_architecture_comes_back(architecture: str, tmp_path: Path) -> None:
    """PEFT renames and regroups the weights of some of them as it loads."""
    model = off_base(add_lora(mixture(architecture), LoRA(rank=4, expert_rank="divided")))
    model.save_pretrained(str(tmp_path))
    again = PeftModel.from_pretrained(mixture(architecture), str(tmp_path)).eval()
    assert torch.equal(logits(again), logits(model))
    assert not torch.equal(logits(again), logits(mixture(architecture)))


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_model_comes_back(architecture: str, is_tied: bool, tmp_path: Path) -> None:
    base = tiny.folder(tmp_path / "base", architecture, tie_word_embeddings=is_tied)
    model = load_weights(Model(path=str(base)), CPU)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 2**-20)  # float32 must be kept: bfloat16 would lose this
    expected = logits(model)
    save_model(model, tiny.tokenizer(), tmp_path / "model")
    assert torch.equal(logits(loaded(tmp_path / "model")), expected)
    assert not torch.equal(logits(loaded(base)), expected)


def test_an_adapter_on_a_base_kept_in_bfloat16_comes_back(tmp_path: Path) -> None:
    base = tmp_path / "base"
    tiny.model("qwen3").to(torch.bfloat16).save_pretrained(base)  # pyright: ignore[reportArgumentType]
    model = off_base(add_lora(load_weights(Model(path=str(base)), CPU), LoRA(rank=4)))
    assert shrink_frozen(model) > 0
    with torch.autocast("cpu", torch.bfloat16):
        expected = logits(model)
        save_model(model, tiny.tokenizer(), tmp_path / "adapter")
        again = PeftModel.from_pretrained(loaded(base), str(tmp_path / "adapter")).eval()
        assert torch.equal(logits(again), expected)


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_the_tokenizer_lies_beside_and_nothing_is_pickled(tune: str, tmp_path: Path) -> None:
    model = tiny.model("qwen3") if tune == "full" else add_lora(tiny.model("qwen3"), LoRA(rank=4))
    save_model(model, tiny.tokenizer(), tmp_path / "saved")
    again, tokens = AutoTokenizer.from_pretrained(tmp_path / "saved"), tiny.tokenizer()
    text = "Tom has 17 apples. #### 17"
    assert again.encode(text) == tokens.encode(text)
    assert again.decode(again.encode(text)) == text
    messages = [{"role": "user", "content": text}]
    assert again.apply_chat_template(messages, tokenize=False) == tokens.apply_chat_template(messages, tokenize=False)
    assert (again.eos_token_id, again.pad_token_id) == (tokens.eos_token_id, tokens.pad_token_id)
    suffixes = {path.suffix for path in (tmp_path / "saved").iterdir()}
    assert ".safetensors" in suffixes
    assert suffixes <= {".safetensors", ".json", ".jinja", ".md"}


def test_saving_an_adapter_does_not_ask_the_hub(tmp_path: Path) -> None:
    """Where PEFT asks and gets no answer, it warns."""
    base = tiny.model("qwen3")
    base.config._name_or_path = base.name_or_path = "nobody/has-this-model"
    model = add_lora(base, LoRA(rank=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_model(model, tiny.tokenizer(), tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "nobody/has-this-model"


def test_nothing_of_ours_is_in_the_saved_config(tmp_path: Path) -> None:
    """After sampling and with experts that follow autocast, a mixture is saved as transformers knows it."""
    base = tiny.folder(tmp_path / "base", "qwen3_moe")
    model = load_weights(Model(path=str(base)), CPU)
    NativeSampler(model, stops=(4,), batch=4, dtype=torch.float32).sample([[5, 6]], 2, Sampling(3), seed=0)
    save_model(model, tiny.tokenizer(), tmp_path / "model")
    text = (tmp_path / "model" / "config.json").read_text()
    assert "rltk" not in text
    assert json.loads(text)["dtype"] == "float32"


@pytest.mark.parametrize(
    "preferences",
    [{"temperature": 0.6, "top_p": 0.9}, {"top_k": 20, "do_sample": True}, {"num_beams": 1, "length_penalty": 2.0}, {}],
)
def test_a_checkpoint_whose_preferences_transformers_will_not_save_is_saved(
    preferences: dict[str, Any], tmp_path: Path
) -> None:
    """Llama 2's, say: without this a run of days would end in an error. What it stops at must come back."""
    model = tiny.model("qwen3")
    model.generation_config = GenerationConfig(eos_token_id=[4, 9], **preferences)
    save_model(model, tiny.tokenizer(), tmp_path / "model")
    saved = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [4, 9]
    assert {name: saved.get(name) for name in ("temperature", "top_p", "top_k") if name in preferences} == {
        name: value for name, value in preferences.items() if name in ("temperature", "top_p", "top_k")
    }


def test_stop_tokens_are_those_of_all_who_name_any(tmp_path: Path) -> None:
    tokens, model = tiny.tokenizer(), tiny.model("llama", eos_token_id=[7, 8])
    assert tokens.eos_token_id == 4
    model.generation_config = GenerationConfig(eos_token_id=[8, 11])
    assert stop_tokens(model, tokens) == (4, 7, 8, 11)
    model.generation_config = GenerationConfig(eos_token_id=12)
    model.config.eos_token_id = None
    assert stop_tokens(model, tokens) == (4, 12)
    tokens.eos_token = None
    assert stop_tokens(model, tokens) == (12,)
    model.generation_config = GenerationConfig()
    with pytest.raises(UserError, match="names no end-of-text token, so no completion would ever end"):
        stop_tokens(model, tokens)
    model.generation_config = GenerationConfig(eos_token_id=[4, 99_999])
    with pytest.raises(UserError, match=r"names 99999 as a token that ends a text, but its vocabulary has \d+;"):
        stop_tokens(model, tokens)


def test_stop_tokens_survive_saving_and_loading(tmp_path: Path) -> None:
    model = tiny.model("qwen3")
    model.generation_config = GenerationConfig(eos_token_id=[9, 21])
    save_model(model, tiny.tokenizer(), tmp_path / "model")
    again = load_weights(Model(path=str(tmp_path / "model")), CPU)
    assert stop_tokens(again, AutoTokenizer.from_pretrained(tmp_path / "model")) == (4, 9, 21)
