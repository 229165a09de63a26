"""Rewards of reward models in this process: an adapter on the policy's base, or a model of its own.

Shapes: B completions, T tokens of prompt and completion, H hidden size.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from rltk_reward_models.scorer import Scorer, length_batches
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rltk.data.prompt import PromptRenderer
from rltk.errors import UserError
from rltk.models.adapters import adapter_chosen
from rltk.models.lean import Layers, lean_training
from rltk.models.modes import computing_in, evaluating
from rltk.models.roles import SavedRole, add_role
from rltk.models.scoring import last_hidden, values_of
from rltk.recipe.schema import ModelReward
from rltk.rewards.judge import Sample, Scores
from rltk.rewards.text import scored_text


class BaseScorer:
    """A reward model that shares the policy's base: it reads the very tokens that were sampled, the last of them where
    it was trained on fewer."""

    def __init__(self, name: str, policy: nn.Module, saved: SavedRole, dtype: torch.dtype, tokens: int) -> None:
        assert isinstance(policy, PeftModel)
        self.name, self.policy, self.dtype, self.tokens = name, policy, dtype, tokens
        self.role = add_role(policy, f"reward_{name}", saved)
        self.pad = policy.config.get_text_config().pad_token_id if saved.pad is None else saved.pad
        self.most = saved.most
        self.layers = Layers(policy)

    def __call__(self, samples: Sequence[Sample]) -> Scores:
        """None for a completion that the base had no numbers for: it has none for its score either."""
        whole = [sample for sample in samples if not sample.rollout.is_broken]
        scores = iter(self.finite_scores(whole))
        return [None if sample.rollout.is_broken else next(scores) for sample in samples]

    def finite_scores(self, samples: Sequence[Sample]) -> list[float]:
        rows = [torch.cat([torch.tensor(sample.prompt), sample.rollout.tokens_T.cpu()]) for sample in samples]
        rows = rows if self.most is None else [row[-self.most :] for row in rows]
        scores = [math.nan] * len(rows)
        for batch in length_batches([len(row) for row in rows], self.tokens):
            for index, score in zip(batch, self.score([rows[i] for i in batch]).tolist(), strict=True):
                scores[index] = score
        return finite(self.name, scores)

    @torch.no_grad()
    def score(self, rows: Sequence[Tensor]) -> Tensor:
        """[B], read at each row's last token that is not padding, as transformers does where the end token pads.

        Rows are padded on the right, where causal attention never looks.
        """
        device = self.role.head.weight.device
        ids_BT = pad_sequence(list(rows), batch_first=True).to(device)
        last_B = torch.tensor([last_token(row, self.pad) for row in rows], device=device)
        with (
            evaluating(self.policy),
            adapter_chosen(self.policy, self.role.name),
            lean_training(self.layers, self.dtype),
            computing_in(self.dtype, device),
        ):
            hidden_BTH = last_hidden(self.policy, ids_BT)
        return values_of(self.role.head, hidden_BTH[torch.arange(len(rows), device=device), last_B])


def last_token(row_T: Tensor, pad: int | None) -> int:
    """Place of the last token that is not `pad`; 0 where all are."""
    if pad is None:
        return len(row_T) - 1
    places = torch.nonzero(row_T != pad)
    return int(places.max()) if len(places) else 0


class ModelScorer:
    """A reward model with weights and tokenizer of its own."""

    def __init__(
        self,
        name: str,
        reward: ModelReward,
        folder: Path,
        renderer: PromptRenderer,
        device: torch.device,
        tokens: int,
    ) -> None:
        self.name, self.renderer = name, renderer
        self.scorer = Scorer.load(
            folder, trust_remote_code=reward.trust_remote_code, device=str(device), batch_tokens=tokens
        )

    def __call__(self, samples: Sequence[Sample]) -> list[float]:
        texts = [scored_text(self.renderer, sample, self.scorer.tokenizer) for sample in samples]
        try:
            return [scored.score for scored in self.scorer.scores(texts)]
        except ValueError as error:
            raise UserError(f"rewards.{self.name}: {error}.") from error


def finite(name: str, scores: list[float]) -> list[float]:
    if not all(map(math.isfinite, scores)):
        raise UserError(
            f"rewards.{name} gave a score that is no number; its model is broken, or model.dtype too narrow."
        )
    return scores
