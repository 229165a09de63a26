"""EFF-1: what a training token costs in the linear layers, counted by PyTorch and by formula.

A layer of m outputs and n inputs costs 3mn multiply-adds a token where it trains, and 2mn + 3r(m + n) beside a LoRA of
rank r. The layers that read the embeddings are spared the gradient of their input in the LoRA arm, since embeddings do
not train there; that is put back before dividing, and reported by itself. Head and attention do not count.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from rltk.compare.outcome import Outcome, judged
from rltk.models.adapters import add_lora, linear_layers
from rltk.models.lean import Layers, lean_training
from rltk.models.scoring import last_hidden
from rltk.recipe.fields import Count, Positive, Section
from rltk.recipe.schema import LoRA

PRODUCTS = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_)
"""Attention's products are bmm. PyTorch's counter leaves out those that add in place, so it is told of them."""
READS_EMBEDDINGS = ("layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj", "layers.0.self_attn.v_proj")


class Settings(Section):
    widths: tuple[Count, ...] = (128, 256)
    ranks: tuple[Count, ...] = (1, 8, 32)
    tokens: Count = 64
    tolerance: Positive = 0.03
    """Largest relative difference of the counted ratio from the formula's."""


def measure(settings: Settings) -> Outcome:
    rows = [row for width in settings.widths for row in compare(width, settings.ranks, settings.tokens)]
    worst = max(abs(row["counted"] / row["formula"] - 1) for row in rows)
    reference = next((row for row in rows if row["rank"] == 8), rows[0])
    summary = f"{reference['counted']:.3f} at width {reference['width']}, rank {reference['rank']}; off by {worst:.1%}"
    return Outcome(judged(worst <= settings.tolerance), summary, reference["counted"], None, {"rows": rows})


def compare(width: int, ranks: Sequence[int], tokens: int) -> list[dict[str, Any]]:
    model = model_of(width).requires_grad_(True)
    shapes = {name: tuple(layer.get_parameter("weight").shape) for name, layer in linear_layers(model)}
    trained, full = sum(3 * m * n for m, n in shapes.values()), counted(model, tokens)
    rows = []
    for rank in ranks:
        formula = sum(lora_cost(m, n, rank) for m, n in shapes.values()) / trained
        spared = tokens * sum(m * n + rank * n for name, (m, n) in shapes.items() if name.endswith(READS_EMBEDDINGS))
        ratio = (counted(add_lora(model_of(width), LoRA(rank=rank)), tokens) + spared) / full
        rows.append({"width": width, "rank": rank, "counted": ratio, "formula": formula, "spared": spared / full})
    return rows


def lora_cost(outputs: int, inputs: int, rank: int) -> int:
    """Multiply-adds a token: forward mn + r(m + n), gradient of the input the same, of the adapter r(m + n)."""
    return 2 * outputs * inputs + 3 * rank * (outputs + inputs)


def model_of(width: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=512,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM._from_config(config, attn_implementation="eager")


def counted(model: nn.Module, tokens: int) -> float:
    """Multiply-adds of a forward and a backward pass, without head and attention."""
    ids_BL = torch.arange(tokens)[None] % 512
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: flops_of_addmm})
    with counter, lean_training(Layers(model), torch.float32):
        last_hidden(model, ids_BL).sum().backward()
    found = counter.get_flop_counts()["Global"]
    return sum(found.get(product, 0) for product in PRODUCTS) / 2


def flops_of_addmm(_: Sequence[int], left: Sequence[int], right: Sequence[int], **__: Any) -> int:
    """Of [a, b] times [b, c]; the sum itself is not counted, as PyTorch does not."""
    return 2 * left[0] * left[1] * right[1]
