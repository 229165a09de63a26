"""Shapes of widely used models, by hub id, so that planning for them needs no download.

Each is what the model's config.json on the hub says (source: huggingface.co/<id>/blob/main/config.json), cut down to
what decides shapes; the totals they come to are compared with the published ones in `tests/plan/test_shape.py`.
"""

from typing import Any

QWEN3: dict[str, Any] = {"model_type": "qwen3", "vocab_size": 151936, "head_dim": 128, "max_position_embeddings": 40960}
LLAMA3: dict[str, Any] = {"model_type": "llama", "vocab_size": 128256, "max_position_embeddings": 131072}


def sized(hidden: int, intermediate: int, layers: int, heads: int, key_heads: int, tied: bool) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "tie_word_embeddings": tied,
    }


KNOWN: dict[str, dict[str, Any]] = {
    "Qwen/Qwen3-0.6B": QWEN3 | sized(1024, 3072, 28, 16, 8, True),
    "Qwen/Qwen3-1.7B": QWEN3 | sized(2048, 6144, 28, 16, 8, True),
    "Qwen/Qwen3-4B": QWEN3 | sized(2560, 9728, 36, 32, 8, True),
    "Qwen/Qwen3-8B": QWEN3 | sized(4096, 12288, 36, 32, 8, False),
    "Qwen/Qwen3-14B": QWEN3 | sized(5120, 17408, 40, 40, 8, False),
    "Qwen/Qwen3-32B": QWEN3 | sized(5120, 25600, 64, 64, 8, False),
    "Qwen/Qwen3-30B-A3B": QWEN3
    | sized(2048, 6144, 48, 32, 4, False)
    | {"model_type": "qwen3_moe", "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8},
    "meta-llama/Llama-3.2-1B": LLAMA3 | sized(2048, 8192, 16, 32, 8, True),
    "meta-llama/Llama-3.2-3B": LLAMA3 | sized(3072, 8192, 28, 24, 8, True),
    "meta-llama/Llama-3.1-8B": LLAMA3 | sized(4096, 14336, 32, 32, 8, False),
    "meta-llama/Llama-3.1-70B": LLAMA3 | sized(8192, 28672, 80, 64, 8, False),
    "google/gemma-3-1b-it": sized(1152, 6912, 26, 4, 1, True)
    | {"model_type": "gemma3_text", "vocab_size": 262144, "head_dim": 256, "max_position_embeddings": 32768},
}
LADDER = tuple(f"Qwen/Qwen3-{size}" for size in ("0.6B", "1.7B", "4B", "8B", "14B", "32B"))
"""One family in rising size, in which the largest that fits is looked for."""
