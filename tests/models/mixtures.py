"""Tiny mixtures of experts of many architectures, as transformers builds them."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "vocab_size": 64,
    "bos_token_id": None,
    "eos_token_id": 4,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "num_key_value_heads": 4,
}
SHARED = {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1}
ACTIVE = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
CONFIGS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {"num_experts": 4, "shared_expert_intermediate_size": 40, "decoder_sparse_step": 1, **ACTIVE},
    "qwen3_moe": {"num_experts": 4, "head_dim": 8, **ACTIVE},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "granitemoeshared": {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 40},
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "jetmoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "kv_channels": 8},
    "llama4_text": {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 48, "head_dim": 8},
    "deepseek_v3": {**LATENT, **SHARED, **ACTIVE},
    "glm4_moe": {"head_dim": 8, **SHARED, **ACTIVE},
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
    },
}
REFUSED = {
    "deepseek_v3": "PEFT leaves out model.layers.0.mlp.gate_proj.weight",  # its dense first layer, and shared experts
    "glm4_moe": "PEFT leaves out model.layers.0.mlp.gate_proj.weight",
    "dbrx": "would leave out 6 weights of dbrx",  # all experts in one 2-D weight
}
"""What `all-linear` says of those it does not cover."""


def mixture(architecture: str) -> PreTrainedModel:
    """Random weights in float32."""
    torch.manual_seed(0)
    shape = {} if architecture == "dbrx" else SHAPE
    config = AutoConfig.for_model(architecture, **{**shape, **CONFIGS[architecture]})
    return AutoModelForCausalLM.from_config(config).float().eval()
