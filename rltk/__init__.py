"""rltk: reinforcement learning of language models with LoRA and with full fine-tuning, from one recipe."""

__version__ = "0.1.0"
