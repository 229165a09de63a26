"""LAY-0: how many parameters an adapter has, for the sets of layers that "LoRA Without Regret" lists for Llama-3.1-8B.

Its table can be had only with an adapter on the output head in every row, also those that name other layers; rltk
leaves the head alone, so both counts are made. Shapes alone are used: no weights are held.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from rltk.compare.outcome import Outcome, judged
from rltk.models.adapters import lora_targets
from rltk.recipe.fields import Section
from rltk.recipe.schema import LoRA

ROWS = {
    "mlp r256": (LoRA(rank=256, targets="mlp"), 0.49, 0.45),
    "attention r256": (LoRA(rank=256, targets="attention"), 0.25, 0.22),
    "all r256": (LoRA(rank=256), 0.70, 0.67),
    "mlp r128": (LoRA(rank=128, targets="mlp"), 0.24, 0.23),
}
"""Adapter, and billions of parameters with the head (as published) and without."""


class Settings(Section):
    """Nothing to choose."""


def measure(_: Settings) -> Outcome:
    model = llama_8b()
    head = model.get_output_embeddings()
    assert isinstance(head, torch.nn.Linear)
    rows = {}
    for name, (tune, with_head, without) in ROWS.items():
        count = sum(tune.rank * sum(weight.shape) for _, weight in lora_targets(model, tune).weights(model))
        both = count + tune.rank * (head.in_features + head.out_features)
        is_right = (round(both / 1e9, 2), round(count / 1e9, 2)) == (with_head, without)
        rows[name] = {"with_head": both, "without": count, "is_right": is_right}
    right = sum(row["is_right"] for row in rows.values())
    counts = "/".join(f"{row['with_head'] / 1e9:.2f}" for row in rows.values())
    summary = f"{counts} billion with the head, {right} of {len(rows)} rows as expected"
    return Outcome(judged(right == len(rows)), summary, right / len(rows), None, rows)


def llama_8b() -> PreTrainedModel:
    with torch.device("meta"):
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=128_256,
                hidden_size=4096,
                intermediate_size=14_336,
                num_hidden_layers=32,
                num_attention_heads=32,
                num_key_value_heads=8,
            )
        )
