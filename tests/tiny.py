"""Tiny random models of real architectures, made on the spot, and a tokenizer for them, which stays as it is."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

TOKENIZER = Path(__file__).parent / "tokenizer"
"""Of 1,024 tokens, in the form of the embedded policy's. A policy that is built anew has another vocabulary, and what
random weights happen to sample, which some tests rest on, would change with it."""
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
}
ARCHITECTURES = ("qwen3", "llama", "gemma3", "qwen3_moe")


def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TOKENIZER)


def model(architecture: str = "qwen3", *, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Random weights in float32, larger than usual so that probabilities are far from uniform."""
    torch.manual_seed(seed)
    tokens = tokenizer()
    common: dict[str, Any] = {
        **SHAPE,
        "vocab_size": len(tokens),
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
        "bos_token_id": None,
        "initializer_range": 0.2,
        **changes,
    }
    match architecture:
        case "qwen3":
            return Qwen3ForCausalLM(Qwen3Config(**common)).eval()
        case "llama":
            return LlamaForCausalLM(LlamaConfig(**common)).eval()
        case "gemma3":
            sliding: dict[str, Any] = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
            return Gemma3ForCausalLM(Gemma3TextConfig(**common, **sliding)).eval()
        case "qwen3_moe":
            experts: dict[str, Any] = {"moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2}
            return Qwen3MoeForCausalLM(Qwen3MoeConfig(**(experts | common))).eval()
    raise ValueError(architecture)


def folder(path: Path, architecture: str = "qwen3", **changes: Any) -> Path:
    """A model folder with weights and tokenizer, as a user would have it."""
    model(architecture, **changes).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path
