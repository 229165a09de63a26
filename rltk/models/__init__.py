"""Hugging Face causal language models: loading them, and the adapters that LoRA trains."""
