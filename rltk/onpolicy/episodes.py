"""Graded completions, and how they are dealt into the batches of an optimizer step.

Shapes: T tokens of one completion.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from torch import Tensor

from rltk.distributed import world
from rltk.distributed.deal import deal
from rltk.models.packing import Group
from rltk.rollout.sampler import Rollout


class Critique(NamedTuple):
    """What the critic made of a completion before the first optimizer step, token by token."""

    values_T: Tensor
    """Of the state before each token."""
    advantages_T: Tensor
    returns_T: Tensor


class Episode(NamedTuple):
    """One completion with what it taught."""

    prompt: list[int]
    rollout: Rollout
    reward: float
    advantage: float
    """The same for all its tokens; 0 where each has its own."""
    is_masked: bool
    """Nothing is learned from it: it was truncated, and the recipe says so; or it could not be sampled or judged."""
    old_logprobs_T: Tensor | None = None
    """The policy's before the first of several optimizer steps; with a single one the policy is still the old one."""
    reference_logprobs_T: Tensor | None = None
    critique: Critique | None = None
    rewards_T: Tensor | None = None
    """What of the reward is due at each token; None where it is all at the last."""
    advantages_T: Tensor | None = None
    """Of its tokens, where rewards are due within completions and no critic judges them."""

    @property
    def tokens_T(self) -> Tensor:
        return self.rollout.tokens_T

    @property
    def length(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.prompt) + len(self.rollout.tokens_T)

    @property
    def is_whole(self) -> bool:
        """Whether it has tokens to score, whose logits were numbers."""
        return len(self.rollout.tokens_T) > 0 and not self.rollout.is_broken

    @property
    def own_advantages_T(self) -> Tensor | None:
        """Token by token, where they are not all the same."""
        return self.advantages_T if self.critique is None else self.critique.advantages_T

    @property
    def says_something(self) -> bool:
        """Whether any of its tokens has an advantage; where a critic judges them, they all may."""
        if self.critique is not None:
            return True
        return self.advantage != 0 if self.advantages_T is None else bool(self.advantages_T.any())

    @property
    def trained_tokens(self) -> int:
        return 0 if self.is_masked else len(self.rollout.tokens_T)


def parts(episodes: Sequence[Episode], count: int) -> Iterator[Sequence[Episode]]:
    """`count` equal parts in order, one for each optimizer step; the schema saw to it that groups stay whole."""
    size = len(episodes) // count
    return (episodes[start : start + size] for start in range(0, len(episodes), size))


def groups(episodes: Sequence[Episode]) -> list[Group]:
    """Neighbours that continue the same prompt, in order."""
    neighbours = ((prompt, list(same)) for prompt, same in groupby(episodes, key=lambda episode: episode.prompt))
    return [Group(prompt, [episode.tokens_T for episode in same]) for prompt, same in neighbours]


def dealt(episodes: Sequence[Episode], *, keeps_groups: bool) -> list[list[int]]:
    """Places of the episodes that each process computes, shared out by their tokens.

    Groups stay together where that spares computing their prompt again.
    """
    places = range(len(episodes))
    neighbours = groupby(places, key=lambda place: episodes[place].prompt)
    units = [list(same) for _, same in neighbours] if keeps_groups else [[place] for place in places]
    hands = deal([sum(episodes[place].length for place in unit) for unit in units], world.size())
    return [[place for number in hand for place in units[number]] for hand in hands]


def micro_batches(episodes: Sequence[Episode], tokens: int) -> Iterator[list[Episode]]:
    """Groups of similar length together, at most `tokens` tokens with padding (one longer episode goes alone)."""
    longest: dict[tuple[int, ...], int] = {}
    for episode in episodes:
        prompt = tuple(episode.prompt)
        longest[prompt] = max(longest.get(prompt, 0), episode.length)
    batch: list[Episode] = []
    for episode in sorted(episodes, key=lambda episode: (longest[tuple(episode.prompt)], episode.prompt)):
        if batch and (len(batch) + 1) * longest[tuple(episode.prompt)] > tokens:
            yield batch
            batch = []
        batch.append(episode)
    if batch:
        yield batch
