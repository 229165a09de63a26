"""Forward passes of policy, reference and critic over episodes: each prompt once for its group, where that pays.

Shapes: B completions, T completion tokens (padded on the right).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rltk.distributed import world
from rltk.distributed.deal import collected
from rltk.distributed.engine import Engine
from rltk.models.lean import Layers, lean_training
from rltk.models.load import compute_dtype
from rltk.models.modes import computing_in, evaluating
from rltk.models.packing import Active, pack, packed
from rltk.models.scoring import (
    Rows,
    Scores,
    evaluate_states,
    evaluate_states_packed,
    make_rows,
    score,
    score_packed,
)
from rltk.onpolicy.critic import Critic
from rltk.onpolicy.episodes import Episode, dealt, groups, micro_batches
from rltk.recipe.schema import Recipe

MOST_SCORES = 2**24
"""Attention scores a layer may hold for a packed micro-batch; longer completions go in rows, with fused attention."""


class Forward:
    def __init__(
        self, recipe: Recipe, model: nn.Module, critic: Critic | None, engine: Engine, *, can_pack: bool
    ) -> None:
        self.model, self.critic, self.engine = model, critic, engine
        self.micro_tokens, self.temperature = recipe.optim.micro_tokens, recipe.rollout.temperature
        self.dtype, self.device = compute_dtype(recipe.model), next(model.parameters()).device
        self.heads = model.config.get_text_config().num_attention_heads  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        self.layers = {id(part): Layers(part) for part in (model, *([] if critic is None else [critic.model]))}
        self.can_pack = can_pack
        """GPUs have fused attention for rows; CPUs gain more from computing each prompt once."""

    def logprobs(self, model: nn.Module, episodes: Sequence[Episode]) -> list[Tensor]:
        """Log-probabilities of each episode's tokens, in the order of `episodes`."""
        return self.token_by_token(model, episodes, lambda micro: self.score(model, micro).logprobs_BT)

    def values(self, episodes: Sequence[Episode]) -> list[Tensor]:
        """What the critic says of the state before each token, in the order of `episodes`."""
        assert self.critic is not None
        with self.critic.chosen():
            return self.token_by_token(self.critic.model, episodes, self.state_values)

    def token_by_token(
        self, model: nn.Module, episodes: Sequence[Episode], of_batch: Callable[[Sequence[Episode]], Tensor]
    ) -> list[Tensor]:
        """`of_batch` gives [B, T] of a micro-batch, from forward passes of `model`; each process makes a share.

        Zero for the tokens of an episode that is not whole: nothing is learned from it.
        """
        whole = [episode for episode in episodes if episode.is_whole]
        hands = dealt(whole, keeps_groups=self.can_pack)
        mine = [whole[place] for place in hands[world.rank()]]
        with self.engine.whole():
            found = self.token_by_token_here(model, mine, of_batch)
        shares = world.gather([row_T.cpu() for row_T in found] if world.size() > 1 else found)
        rows = iter(collected(hands, shares))
        return [
            next(rows).to(self.device) if episode.is_whole else torch.zeros(len(episode.tokens_T), device=self.device)
            for episode in episodes
        ]

    @torch.no_grad()
    def token_by_token_here(
        self, model: nn.Module, episodes: Sequence[Episode], of_batch: Callable[[Sequence[Episode]], Tensor]
    ) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        with evaluating(model):
            for micro in micro_batches(episodes, self.micro_tokens):
                with self.arranged(model, micro):
                    rows_BT = of_batch(micro)
                for episode, row_T in zip(micro, rows_BT, strict=True):
                    found[id(episode)] = row_T[: len(episode.tokens_T)]
        return [found[id(episode)] for episode in episodes]

    @contextmanager
    def arranged(self, model: nn.Module, episodes: Sequence[Episode]) -> Iterator[None]:
        """Within it `score` computes each prompt once for its group, where that pays; backward passes end within."""
        layers = self.layers.get(id(model)) or Layers(model)
        # Weights that are fetched layer by layer are so when PEFT's own layers call their parts.
        lean = lean_training(layers, self.dtype) if self.engine.holds_all else nullcontext()
        with lean, self.packing(model, episodes):
            yield

    def packing(self, model: nn.Module, episodes: Sequence[Episode]) -> AbstractContextManager[None]:
        if not self.can_pack:
            return nullcontext()
        layout = pack(groups(episodes), self.device)
        return packed(model, layout) if layout.attention_scores(self.heads) < MOST_SCORES else nullcontext()

    def score(self, model: nn.Module, episodes: Sequence[Episode], value_head: nn.Linear | None = None) -> Scores:
        """Log-probabilities of these episodes, whose forward pass `arranged` may have prepared."""
        with computing_in(self.dtype, self.device):
            if Active.layout is not None:
                return score_packed(model, Active.layout, self.temperature, value_head)
            return score(model, self.rows(episodes), self.temperature, value_head=value_head)

    def state_values(self, episodes: Sequence[Episode]) -> Tensor:
        """[B, T], by the critic; `arranged` may have prepared the forward pass."""
        assert self.critic is not None
        with computing_in(self.dtype, self.device):
            if Active.layout is not None:
                return evaluate_states_packed(self.critic.model, Active.layout, self.critic.head)
            return evaluate_states(self.critic.model, self.rows(episodes), self.critic.head)

    def rows(self, episodes: Sequence[Episode]) -> Rows:
        rows = make_rows([episode.prompt for episode in episodes], [episode.tokens_T for episode in episodes])
        return rows.to(self.device)

    def pad(self, rows: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(rows), batch_first=True).to(self.device)

    def pad_optional(self, rows: Sequence[Tensor | None]) -> Tensor | None:
        present = [row for row in rows if row is not None]
        return self.pad(present) if present else None
