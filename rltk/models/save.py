"""Writes what was trained: an adapter or a whole model, as safetensors with its tokenizer beside it."""

from pathlib import Path

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rltk.run.atomic import new_folder


def save_model(model: nn.Module, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Complete or not at all. Trained weights keep their float32."""
    assert isinstance(model, (PeftModel, PreTrainedModel))
    with new_folder(path) as beside:
        model.save_pretrained(str(beside))
        tokenizer.save_pretrained(str(beside))
