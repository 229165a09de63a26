"""Folders that are not a whole reward model are refused with a sentence; adapters come back as they were trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from rltk_reward_models.base_file import BASE_FILE
from rltk_reward_models.fingerprint import base_fingerprint, record_base
from rltk_reward_models.scorer import Scorer
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests import tiny
from tests.reward_models import models

ADAPTER = "adapter_model.safetensors"
TEXTS = ["<|user|>what<|assistant|>yes<|end|>", "<|user|>how<|assistant|>no because<|end|>"]


def edit_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


@pytest.fixture
def own_adapter(reward_adapter: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(reward_adapter, tmp_path / "adapter"))


@pytest.fixture
def own_model(reward_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reward_model, tmp_path / "model"))


def refused(folder: Path, words: str, **options: Any) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Scorer.load(folder, **options)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_an_adapter_scores_as_it_did_when_it_was_saved(reward_adapter: Path, policy: Path):
    model, tokenizer = models.adapted(policy), tiny.tokenizer()
    scorer = Scorer.load(reward_adapter)
    with torch.inference_mode():
        expected = [
            model(input_ids=torch.tensor([tokenizer.encode(t, add_special_tokens=False)])).logits.item() for t in TEXTS
        ]
    assert [one.score for one in scorer.scores(TEXTS)] == pytest.approx(expected, abs=1e-5)
    assert (scorer.identity.base, scorer.identity.is_base_verified) == (str(policy), True)
    assert scorer.identity == Scorer.load(reward_adapter).identity


def test_the_adapter_folder_says_what_pads(reward_adapter: Path, tmp_path: Path):
    """The base has no padding token; trained with the end token, the model pools before the last of these."""
    base = tiny.folder(tmp_path / "base", "llama", pad_token_id=None)
    folder = models.adapter(tmp_path / "adapter", base)
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    ended, cut = Scorer.load(folder).scores([TEXTS[0], TEXTS[0].removesuffix("<|end|>")])
    assert ended.score == pytest.approx(cut.score, abs=1e-5)
    ended, cut = Scorer.load(reward_adapter).scores([TEXTS[0], TEXTS[0].removesuffix("<|end|>")])
    assert abs(ended.score - cut.score) > 1e-3


def test_the_scale_of_an_adapter_is_part_of_its_identity(own_adapter: Path):
    before = Scorer.load(own_adapter)
    edit_json(own_adapter / "adapter_config.json", lora_alpha=16)
    after = Scorer.load(own_adapter)
    assert before.identity.model != after.identity.model
    assert abs(next(before.scores(TEXTS)).score - next(after.scores(TEXTS)).score) > 1e-3


def test_a_moved_base_can_be_named(own_adapter: Path, policy: Path, tmp_path: Path):
    expected = [one.score for one in Scorer.load(own_adapter).scores(TEXTS)]
    moved = shutil.copytree(policy, tmp_path / "moved")
    edit_json(own_adapter / "adapter_config.json", base_model_name_or_path=str(tmp_path / "nowhere"))
    refused(own_adapter, "nowhere could not be loaded")
    assert [one.score for one in Scorer.load(own_adapter, base=str(moved)).scores(TEXTS)] == expected


def test_nothing_is_not_a_model(tmp_path: Path, own_model: Path):
    refused(tmp_path / "nowhere", "is not a folder")
    refused(tmp_path, "could not be loaded")
    refused(own_model, "has no base", base="x")


def test_a_language_model_is_refused(policy: Path, tmp_path: Path):
    refused(policy, "one label, this one has 2 .LlamaForCausalLM")
    single = shutil.copytree(policy, tmp_path / "single")
    edit_json(single / "config.json", id2label={"0": "reward"}, label2id={"reward": 0})
    refused(single, "weights lack score.weight, which would be random")


def test_more_than_one_label_is_refused(tmp_path: Path):
    refused(models.whole(tmp_path / "m", num_labels=3), "one label, this one has 3 .Qwen2ForSequenceClassification")


def test_pickled_weights_are_refused(own_model: Path, own_adapter: Path):
    torch.save(load_file(own_model / "model.safetensors"), own_model / "pytorch_model.bin")
    (own_model / "model.safetensors").unlink()
    refused(own_model, "safetensors")
    torch.save(load_file(own_adapter / ADAPTER), own_adapter / "adapter_model.bin")
    (own_adapter / ADAPTER).unlink()
    refused(own_adapter, "pickled weights")


def test_damaged_files_are_refused(own_model: Path, own_adapter: Path):
    for folder, name in ((own_model, "model.safetensors"), (own_adapter, ADAPTER), (own_adapter, BASE_FILE)):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=r"could not be loaded|is damaged"):
            Scorer.load(folder)
        (folder / name).write_bytes(whole)
    (own_adapter / "adapter_config.json").write_text("{")
    refused(own_adapter, "adapter_config.json could not be loaded")


@pytest.mark.parametrize("task_type", [None, "CAUSAL_LM"])
def test_another_task_type_is_refused(own_adapter: Path, task_type: str | None):
    edit_json(own_adapter / "adapter_config.json", task_type=task_type)
    refused(own_adapter, "reward model needs SEQ_CLS")


def test_an_adapter_without_its_head_is_refused(own_adapter: Path):
    """As PEFT leaves it when the task type was set too late: a random head, and scores that mean nothing."""
    edit_weights(own_adapter / ADAPTER, lambda kept: {key: kept[key] for key in kept if "score" not in key})
    refused(own_adapter, "holds no score head")


def test_a_base_without_a_name_is_refused(own_adapter: Path):
    edit_json(own_adapter / "adapter_config.json", base_model_name_or_path=None)
    refused(own_adapter, "names no base model")


def test_weights_that_do_not_meet_are_refused(own_adapter: Path):
    edit_weights(
        own_adapter / ADAPTER, lambda kept: {key: kept[key] for key in kept if "layers.1.self_attn.q" not in key}
    )
    refused(own_adapter, "2 weights are in the adapter or in its base")
    edit_weights(own_adapter / ADAPTER, lambda kept: {**kept, "base_model.model.odd.weight": torch.zeros(2)})
    refused(own_adapter, "3 weights are in the adapter or in its base")


@pytest.mark.parametrize("changes", [{"hidden_size": 64}, {"num_hidden_layers": 1}, {"num_hidden_layers": 3}])
@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_base_of_another_shape_is_refused(own_adapter: Path, tmp_path: Path, changes: dict, is_recorded: bool):
    other = tiny.folder(tmp_path / "other", "llama", **changes)
    if not is_recorded:
        (own_adapter / BASE_FILE).unlink()
    words = "trained on other weights" if is_recorded else "give the base it was trained on"
    refused(own_adapter, words, base=str(other))


def test_a_base_of_other_weights_is_refused_where_the_own_was_recorded(own_adapter: Path, tmp_path: Path):
    other = str(tiny.folder(tmp_path / "other", "llama", seed=1))
    refused(own_adapter, "trained on other weights", base=other)
    (own_adapter / BASE_FILE).unlink()
    assert not Scorer.load(own_adapter, base=other).identity.is_base_verified


def test_a_fingerprint_is_of_the_base_whatever_stands_on_it(policy: Path):
    """One for the causal language model, the classifier, and both with an adapter, in either dtype."""
    causal = AutoModelForCausalLM.from_pretrained(policy)
    half = AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1, dtype=torch.bfloat16)
    expected = base_fingerprint(models.adapted(policy))
    assert base_fingerprint(half) == expected
    # A classifier calls its decoder `model`, as the language model does.
    assert base_fingerprint(causal) == expected
    layers = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")
    assert base_fingerprint(get_peft_model(causal, layers)) == expected


def test_a_fingerprint_sees_one_weight_that_moved(policy: Path):
    model = AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1)
    before = base_fingerprint(model)
    model.get_parameter("score.weight").data.add_(1)
    assert base_fingerprint(model) == before
    model.get_parameter("model.norm.weight").data[3] += 0.1
    assert base_fingerprint(model) != before


def test_recording_leaves_one_file(policy: Path, tmp_path: Path):
    record_base(models.adapted(policy), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [BASE_FILE]
