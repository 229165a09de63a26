"""The score of a run on preferences: how often it ranks held-out pairs as they were preferred."""

import math
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from rltk.distributed import world
from rltk.errors import UserError
from rltk.models.adapters import adapter_off
from rltk.models.load import compute_dtype
from rltk.offline.assemble import Assembled
from rltk.offline.inputs import Heldout
from rltk.offline.pair_scores import Likelihood, Ranked, likelihoods, summarize
from rltk.offline.rows import Reader
from rltk.recipe.schema import DPO, Recipe
from rltk.rollout.describe import interval
from rltk.run.atomic import new_folder
from rltk.run.folder import Metrics
from rltk.run.scores import accuracy_metrics, heldout
from rltk.run.session import Desk, Scores
from rltk.run.whole import seal

FILE = "reference/heldout/logprobs.safetensors"


class Ranking:
    """DPO ranks by its implicit reward, beta * (log-probability - the starting policy's); SFT by nats a token."""

    def __init__(self, recipe: Recipe, heldout: Heldout, reader: Reader, parts: Assembled) -> None:
        self.recipe, self.heldout, self.parts = recipe, heldout, parts
        self.tokens = [reader.pair(pair) for pair in heldout.pairs]

    def score(self, when: str, desk: Desk) -> Scores:
        name = self.heldout.name
        self.prepare(desk)
        ranked = self.rank(desk, f"{name} {when}", is_untrained=when == "before")
        score = summarize(ranked, self.heldout.left_out)
        if not score["n"]:
            raise UserError(f"{name} {when}: no held-out reply has a likelihood that is a number; lower optim.lr.")
        desk.folder.write_items(f"{when}-{name}", [one.to_json() for one in ranked])
        desk.watch.say(f"{name} {when}: {describe_ranking(score)}")
        return {name: score}

    def accuracy(self, step: int, desk: Desk) -> Metrics:
        ranked = self.rank(desk, f"{self.heldout.name} at step {step}", is_untrained=False)
        return heldout(accuracy_metrics(summarize(ranked, self.heldout.left_out)))

    def prepare(self, desk: Desk) -> None:
        """Keeps what the starting policy thinks of the pairs where its weights will be gone. Before the first step."""
        kept = desk.folder.path / FILE
        if not isinstance(self.recipe.algo, DPO) or isinstance(self.parts.model, PeftModel):
            return
        if world.of_first(kept.exists):
            return
        keep(self.likelihoods(desk, f"{self.heldout.name} of the reference"), kept)
        world.meet()

    def rank(self, desk: Desk, what: str, *, is_untrained: bool) -> list[Ranked]:
        algo, pairs = self.recipe.algo, list(zip(self.heldout.pairs, self.tokens, strict=True))
        policy = self.likelihoods(desk, what)
        if not isinstance(algo, DPO):
            return [
                Ranked(pair, ids, a_token(now.chosen, ids.chosen), a_token(now.rejected, ids.rejected), now)
                for (pair, ids), now in zip(pairs, policy, strict=True)
            ]
        start = policy if is_untrained else self.reference(desk, what)
        return [
            Ranked(pair, ids, algo.beta * (now.chosen - then.chosen), algo.beta * (now.rejected - then.rejected), now)
            for (pair, ids), now, then in zip(pairs, policy, start, strict=True)
        ]

    def reference(self, desk: Desk, what: str) -> list[Likelihood]:
        if isinstance(self.parts.model, PeftModel):
            with adapter_off(self.parts.model):
                return self.likelihoods(desk, f"{what}, reference")
        kept = load_file(desk.folder.path / FILE)
        return [Likelihood(*sides) for sides in zip(kept["chosen"].tolist(), kept["rejected"].tolist(), strict=True)]

    def likelihoods(self, desk: Desk, what: str) -> list[Likelihood]:
        def report(done: int, total: int) -> None:
            desk.watch.evaluating(what, done, total)

        dtype, micro_tokens = compute_dtype(self.recipe.model), self.recipe.optim.micro_tokens
        return likelihoods(self.parts.model, self.tokens, dtype, micro_tokens, report)


def a_token(logprob: float, reply: list[int]) -> float:
    return logprob / len(reply) if reply else math.nan


def keep(found: list[Likelihood], path: Path) -> None:
    sides = {"chosen": [one.chosen for one in found], "rejected": [one.rejected for one in found]}
    with new_folder(path.parent) as beside:
        save_file({key: torch.tensor(side, dtype=torch.float64) for key, side in sides.items()}, beside / path.name)
        seal(beside)


def describe_ranking(score: Scores) -> str:
    """`71.3% [68.8, 73.8] of held-out pairs (n = 1255)`."""
    return f"{interval(score)} of held-out pairs (n = {score['n']})"
