"""rltk: reinforcement learning of language models with LoRA and with full fine-tuning, from one recipe."""

import os

__version__ = "0.1.0"

# torch's threads spin for milliseconds where they wait for one another, so one other busy program makes each of the
# thousands of small products of a rollout tenfold slower. A shorter spin costs nothing when the cores are free.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
