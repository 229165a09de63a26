"""How much the data can teach, in bits, against how much an adapter can hold.

Upper bounds, not estimates: an RL episode tells at most the entropy of its outcome, which is 1 bit where it is right or
wrong; a pair tells which of two, 1 bit; a completion token about 1 bit, the log-loss of language (Schulman et al. 2025,
"LoRA Without Regret", thinkingmachines.ai/blog/lora). A parameter holds 2 bits (Allen-Zhu and Li 2024, arXiv
2404.05405, of whole models; whether an adapter's does is not known).
"""

from typing import NamedTuple

from rltk.plan.workload import Workload

BITS_A_PARAMETER = 2.0
BITS_A_TOKEN = 1.0


class Capacity(NamedTuple):
    offered: float
    """Bits that the whole run's data offer at most."""
    held: float
    """Bits that what trains can hold."""
    unit: str
    """What one bit is offered by."""

    @property
    def ratio(self) -> float:
        return self.held / self.offered

    @property
    def meaning(self) -> str:
        if self.ratio >= 10:
            return "far more than the data offer: rank is no limit here"
        if self.ratio >= 1:
            return "more than the data offer at most"
        return "less than the data offer at most: a higher rank may learn more, if the data are as rich as the bound"


def capacity(algo: str, work: Workload, trainable: int) -> Capacity:
    held = BITS_A_PARAMETER * trainable
    match algo:
        case "sft":
            offered = BITS_A_TOKEN * work.steps * work.sequences * work.lengths.completion
            return Capacity(offered, held, "completion token")
        case "dpo" | "reward_model":
            return Capacity(float(work.steps * work.prompts), held, "pair")
        case _:
            return Capacity(float(work.steps * work.sequences), held, "episode")
