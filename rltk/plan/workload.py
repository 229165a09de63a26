"""What a recipe asks of a machine: tokens, sequences and passes of one step, before anything is known of the data."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, NamedTuple

from rltk.recipe.schema import DPO, PPO, Full, LoRA, OnPolicy, Paired, Recipe, RewardModel, Rollout

Tune = LoRA | Full

ASSUMED_PROMPT = 128
"""Tokens of a prompt where nothing else is said."""
MOST_PACKED_SCORES = 2**24
"""`rltk.onpolicy.forward.MOST_SCORES`, which stands in a module that imports torch; a test holds the two together."""


FOUR_BITS = 1 / 2 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a number in NF4: half a byte, a byte for each block of 64, and a float32 for 256 of those bytes (Dettmers et
al. 2023, arXiv 2305.14314, section 3)."""


class Lengths(NamedTuple):
    """Tokens of a prompt and of a completion. Memory is planned for completions that reach their limit."""

    prompt: int
    completion: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion


class MicroBatch(NamedTuple):
    """What goes through the model in one forward and backward pass."""

    groups: int
    sequences: int
    lengths: Lengths
    is_packed: bool
    """All in one row, each prompt once for its group; otherwise in rows, padded on the right."""

    @property
    def tokens(self) -> int:
        if self.is_packed:
            return self.groups * self.lengths.prompt + self.sequences * self.lengths.completion
        return self.sequences * self.lengths.total

    @property
    def scored(self) -> int:
        return self.sequences * self.lengths.completion

    @property
    def pairs(self) -> int:
        """Of a query and a key, for which a score of a head is computed."""
        prompt, completion = self.lengths
        if self.is_packed:
            return self.groups * prompt**2 + self.sequences * completion * (prompt + completion)
        return self.sequences * self.lengths.total**2


class RewardRole(NamedTuple):
    """A reward model that scores completions in the training process."""

    name: str
    model: int | None
    """Parameters of a model of its own; None: an adapter of the policy's base."""
    adapter: int
    """Parameters of its adapter; 0 where it has none."""


@dataclass(frozen=True)
class Workload:
    """One step of the loop. What learns from data that is there samples nothing; a pair is a group of two."""

    lengths: Lengths
    prompts: int
    group: int
    updates: int
    epochs: int
    micro_tokens: int
    is_sampled: bool
    head: Literal["chunks", "fused", "none"]
    """What makes log-probabilities in training: rltk's chunks, TRL's fused head, or nothing in a reward model."""
    servers: int
    """Servers that the recipe names, which sample; 0: the training GPUs do."""
    vllm_share: float
    """Share of a GPU's memory that vLLM takes inside the training process while it samples; 0: there is none."""
    rollout_batch: int | None
    scores_before: int
    """Forward passes over all completions without gradient: for fixed and for reference log-probabilities."""
    has_reference: bool
    """Log-probabilities of the starting policy are computed from weights that stay in memory."""
    critic: Literal["auto", "head", "adapter", "model"] | None
    """PPO's, as the recipe asks for it."""
    rewards: tuple[RewardRole, ...]
    is_bfloat16: bool
    is_quantized: bool
    """Whether the frozen linear layers are in four bits."""
    has_checkpointing: bool
    steps: int

    @property
    def sequences(self) -> int:
        return self.prompts * self.group

    def on_one_of(self, gpus: int) -> "Workload":
        """The largest share of a step that falls to one of so many; a prompt's group stays together."""
        return replace(self, prompts=ceil(self.prompts / gpus), updates=min(self.updates, ceil(self.prompts / gpus)))

    @property
    def passes(self) -> int:
        """Forward and backward passes over each sequence."""
        return self.epochs

    @property
    def number_size(self) -> int:
        """Bytes of a number in the arithmetic."""
        return 2 if self.is_bfloat16 else 4

    @property
    def frozen_size(self) -> float:
        """Bytes of a number of a frozen linear layer."""
        return FOUR_BITS if self.is_quantized else self.number_size

    @property
    def at_once(self) -> int:
        """Completions sampled at once."""
        return min(self.sequences, self.rollout_batch or self.sequences) if self.is_sampled else 0

    def micro_batch(self, heads: int, *, can_pack: bool) -> MicroBatch:
        """The largest of a step."""
        count = min(max(1, self.micro_tokens // self.lengths.total), self.sequences // self.updates)
        packed = MicroBatch(ceil(count / self.group), count, self.lengths, True)
        fits = packed.pairs * heads < MOST_PACKED_SCORES
        return packed._replace(is_packed=can_pack and self.is_sampled and fits)


class Assumed(NamedTuple):
    """Lengths that are planned with; None is what the recipe allows."""

    prompt: int
    completion: int | None = None


def workload_of(recipe: Recipe, assumed: Assumed) -> Workload:
    algo = recipe.algo
    if isinstance(algo, OnPolicy):
        return Workload(
            lengths=Lengths(assumed.prompt, assumed.completion or recipe.rollout.max_new_tokens),
            prompts=algo.prompts,
            group=algo.group,
            updates=algo.updates,
            epochs=algo.epochs,
            is_sampled=True,
            head="chunks",
            servers=len(recipe.rollout.servers),
            vllm_share=vllm_share(recipe.rollout),
            rollout_batch=recipe.rollout.batch,
            scores_before=fixes_logprobs(algo) + (algo.kl > 0),
            has_reference=algo.kl > 0,
            critic=algo.critic.type if isinstance(algo, PPO) else None,
            **shared(recipe),
        )
    completion = assumed.completion or max(1, algo.max_length - assumed.prompt)
    return Workload(
        lengths=Lengths(min(assumed.prompt, algo.max_length - 1), completion),
        prompts=algo.batch,
        group=2 if isinstance(algo, Paired) else 1,
        updates=1,
        epochs=1,
        is_sampled=False,
        head="none" if isinstance(algo, RewardModel) else "fused",
        servers=0,
        vllm_share=0.0,
        rollout_batch=None,
        scores_before=1 if isinstance(algo, DPO) else 0,
        has_reference=False,  # DPO keeps the starting policy's numbers, or switches its adapter off
        critic=None,
        **shared(recipe),
    )


def vllm_share(rollout: Rollout) -> float:
    return rollout.gpu_memory if rollout.engine == "vllm" and not rollout.servers else 0.0


def fixes_logprobs(algo: OnPolicy) -> bool:
    """Whether log-probabilities are computed once more before the first update (`Learner.fix_logprobs`)."""
    return algo.updates * algo.epochs > 1 or (isinstance(algo, PPO) and algo.kl > 0)


def shared(recipe: Recipe) -> dict[str, Any]:
    return {
        "micro_tokens": recipe.optim.micro_tokens,
        "is_bfloat16": recipe.model.dtype == "bfloat16",
        "is_quantized": recipe.model.quantize is not None,
        "has_checkpointing": recipe.model.gradient_checkpointing,
        "steps": recipe.optim.steps,
        "rewards": (),
    }
