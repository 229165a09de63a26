"""The roles of a step beside the policy, what each holds and what of it trains: reference, critic, reward models.

With LoRA the reference is the policy with its adapter off, and a critic or a reward model of the same base is one more
adapter on it. In full fine-tuning each is a model of its own (`rltk.onpolicy.critic`, `rltk.rewards.scorers`).
"""

from typing import Literal, NamedTuple

from rltk.plan.activations import FLOAT
from rltk.plan.count import adapter_parameters, trainable_parameters
from rltk.plan.shape import Shape
from rltk.plan.workload import RewardRole, Tune, Workload
from rltk.recipe.schema import Full


class Role(NamedTuple):
    held: float
    """Bytes of weights that no other role holds."""
    trained: int = 0
    """Parameters of them that train."""


def roles(shape: Shape, tune: Tune, work: Workload) -> dict[str, Role]:
    found = {"policy": Role(policy_bytes(shape, tune, work), trainable_parameters(shape, tune))}
    if isinstance(tune, Full) and work.has_reference:
        found["reference"] = Role(float(FLOAT * shape.parameters))
    critic = critic_kind(work, tune)
    if critic is not None:
        trained = critic_parameters(shape, tune, critic)
        found["critic"] = Role(float(FLOAT * trained), trained)
    return found | {reward.name: Role(reward_bytes(shape, tune, reward)) for reward in work.rewards}


def trained_parameters(shape: Shape, tune: Tune, work: Workload) -> int:
    """Of all roles: what has gradients and optimizer state."""
    return sum(role.trained for role in roles(shape, tune, work).values())


def policy_bytes(shape: Shape, tune: Tune, work: Workload) -> float:
    """Weights that train are float32; frozen matrices are in the dtype of the arithmetic, or in four bits."""
    if isinstance(tune, Full):
        return float(FLOAT * shape.parameters)
    frozen = shape.linear - sum(m.size * m.times for m in shape.matrices if m.place == "router")
    head = 0 if shape.is_tied else shape.embedding
    base = FLOAT * (shape.parameters - frozen - head) + work.frozen_size * frozen + work.number_size * head
    return float(base + FLOAT * adapter_parameters(shape, tune))


def critic_kind(work: Workload, tune: Tune) -> Literal["head", "adapter", "model"] | None:
    """The recipe's, and in an arm that it does not fit the one that does."""
    if work.critic in (None, "head"):
        return work.critic
    return "model" if isinstance(tune, Full) else "adapter"


def critic_parameters(shape: Shape, tune: Tune, kind: Literal["head", "adapter", "model"]) -> int:
    """All of them train. A model of its own has no output head."""
    match kind:
        case "head":
            return shape.hidden
        case "adapter":
            assert not isinstance(tune, Full)
            return adapter_parameters(shape, tune) + shape.hidden
        case "model":
            return headless(shape) + shape.hidden


def reward_bytes(shape: Shape, tune: Tune, reward: RewardRole) -> float:
    """An adapter of the policy's base needs that base once more in full fine-tuning, where the policy's moves away."""
    if reward.model is not None:
        return float(FLOAT * (reward.model + reward.adapter))
    return float(FLOAT * (reward.adapter + (headless(shape) if isinstance(tune, Full) else 0)))


def headless(shape: Shape) -> int:
    return shape.parameters - (0 if shape.is_tied else shape.embedding)
