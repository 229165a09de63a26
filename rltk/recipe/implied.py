"""What a recipe need not write, since something else that it writes says it: a reward whose path ends in .py is python.

It is filled in layer by layer, before layers merge, so that an overlay which names a file replaces a reward of another
type as one that writes `type: python` does.
"""

from __future__ import annotations

from rltk.recipe.tree import Node, mapping

SUFFIX = ".py"


def with_types(root: Node) -> Node:
    """The tree of one layer, with the types that it implies."""
    rewards = root.value.get("rewards")
    if rewards is None or not rewards.is_mapping:
        return root
    filled = {name: with_type(reward) for name, reward in rewards.value.items()}
    return mapping({**root.value, "rewards": mapping(filled, rewards.where)}, root.where)


def with_type(reward: Node) -> Node:
    path = reward.value.get("path") if reward.is_mapping else None
    if path is None or not str(path.value).endswith(SUFFIX) or "type" in reward.value:
        return reward
    return mapping({"type": Node("python", path.where, "python"), **reward.value}, reward.where)
