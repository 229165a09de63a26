"""Sampling by all processes: each completes its share of the prompts, and all get all completions."""

from collections.abc import Sequence

from rltk.distributed import world
from rltk.distributed.deal import collected, deal
from rltk.rollout.sampler import LocalSampler, Rollout, Sampler, Sampling


class SpreadSampler:
    """A `Sampler` that gives what `sampler` would, since a completion's random numbers are its own."""

    def __init__(self, sampler: LocalSampler) -> None:
        self.sampler = sampler

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        dealt = deal([len(prompt) + sampling.max_new_tokens for prompt in prompts], world.size())
        mine = dealt[world.rank()]
        own = [prompts[index] for index in mine]

        def sample_here() -> list[list[Rollout]]:
            return self.sampler.sample(own, group, sampling, seed=seed, places=mine) if own else []

        return collected(dealt, world.share(sample_here))


def spread(sampler: LocalSampler) -> Sampler:
    """The same for a process alone; otherwise the sampler of all of them."""
    return SpreadSampler(sampler) if world.size() > 1 else sampler


class AskedByFirst:
    """A `Sampler` whose completions come from servers that do not care which process asks: one does, for all."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        return world.of_first(lambda: self.sampler.sample(prompts, group, sampling, seed=seed))


def asked_by_first(sampler: Sampler) -> Sampler:
    """The same for a process alone; otherwise one that the first process asks for all."""
    return AskedByFirst(sampler) if world.size() > 1 else sampler
