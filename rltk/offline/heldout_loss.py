"""How well a policy predicts solutions that nothing trained on: their log-loss, in nats a token.

Shapes: B solutions, T tokens.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from rltk_eval.metrics import t_factor
from torch import nn

from rltk.data.demonstrations import Demonstration
from rltk.models.load import compute_dtype
from rltk.models.modes import computing_in, evaluating
from rltk.models.scoring import make_rows, score
from rltk.offline.pair_scores import micro_batches
from rltk.offline.rows import Lesson
from rltk.recipe.schema import LOSS, Recipe
from rltk.rollout.describe import describe
from rltk.run.folder import Metrics
from rltk.run.session import Desk, Scores


class Solutions(NamedTuple):
    """What is held out, as text and as tokens."""

    shown: Sequence[Demonstration]
    lessons: Sequence[Lesson]
    hash: str
    left_out: int
    """Solutions that are too long to be scored."""


class HeldoutLoss:
    def __init__(self, recipe: Recipe, solutions: Solutions, model: nn.Module) -> None:
        self.recipe, self.solutions, self.model = recipe, solutions, model

    def score(self, when: str, desk: Desk) -> Scores:
        """The score of the task `loss`; what each solution costs is written into the folder."""
        rows = self.rows(f"{LOSS} {when}", desk)
        found = summarize(rows) | {"left_out": self.solutions.left_out}
        desk.folder.write_items(f"{when}-{LOSS}", rows)
        desk.watch.say(f"{LOSS} {when}: {describe(found)}")
        return {LOSS: found}

    def curve(self, step: int, desk: Desk) -> Metrics:
        return {"heldout_loss": summarize(self.rows(f"{LOSS} at step {step}", desk))["loss"]}

    def rows(self, what: str, desk: Desk) -> list[dict[str, Any]]:
        nats = self.nats(what, desk)
        return [
            {"id": shown.id, "nats": value, "tokens": len(lesson.reply)}
            for shown, lesson, value in zip(self.solutions.shown, self.solutions.lessons, nats, strict=True)
        ]

    @torch.no_grad()
    def nats(self, what: str, desk: Desk) -> list[float]:
        """Of each solution the negative log-probability, summed over its tokens."""
        lessons, found = self.solutions.lessons, list[float]()
        device, dtype = next(self.model.parameters()).device, compute_dtype(self.recipe.model)
        with evaluating(self.model), computing_in(dtype, device):
            for micro in micro_batches(lessons, self.recipe.optim.micro_tokens):
                rows = make_rows([one.prompt for one in micro], [torch.tensor(one.reply) for one in micro])
                logprobs_BT = score(self.model, rows.to(device), 1.0).logprobs_BT
                found += (-logprobs_BT.double().sum(1)).tolist()
                desk.watch.evaluating(what, len(found), len(lessons))
        return found


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Nats over tokens, both summed, with its 95 % t interval over solutions: that of a ratio, linearized."""
    tokens, nats = sum(row["tokens"] for row in rows), math.fsum(row["nats"] for row in rows)
    loss = nats / tokens if tokens else math.nan
    residuals = [row["nats"] - loss * row["tokens"] for row in rows]
    half = math.nan
    if len(rows) > 1 and tokens:
        variance = math.fsum(one**2 for one in residuals) / (len(rows) - 1)
        half = t_factor(0.95, len(rows) - 1) * math.sqrt(variance * len(rows)) / tokens
    return {"loss": loss, "ci95": [loss - half, loss + half], "n": len(rows), "tokens": tokens}
