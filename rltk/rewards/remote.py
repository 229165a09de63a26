"""Rewards of a reward model behind a scoring server, with several requests in flight."""

from collections.abc import Sequence

from rltk_reward_models.client import RemoteScorer, ServerGoneError
from rltk_reward_models.conversations import Conversation, CutOff

from rltk.data.prompt import PromptRenderer
from rltk.errors import RewardGoneError, UserError
from rltk.recipe.schema import ServerReward
from rltk.rewards.judge import Sample
from rltk.rewards.text import conversation, scored_text
from rltk.secrets import read_token


class ServerScorer:
    """Asked for its model before anything slow happens, so that a wrong address or token is found out at once."""

    def __init__(self, name: str, reward: ServerReward, renderer: PromptRenderer) -> None:
        self.name, self.reward, self.renderer = name, reward, renderer
        try:
            token = read_token(f"rewards.{name}.token_file", reward.token_file)
            self.scorer = RemoteScorer(reward.url, token, in_flight=reward.in_flight, patience=reward.patience)
            if reward.send == "messages":
                self.scorer.check_takes_cut_off()
            else:
                self.scorer.info()
        except ServerGoneError as error:
            raise RewardGoneError(f"rewards.{name}.url: {error}") from error
        except ValueError as error:
            raise UserError(f"rewards.{name}.url: {error}.") from error

    def __call__(self, samples: Sequence[Sample]) -> list[float]:
        try:
            return [scored.score for scored in self.scorer.scores(self.form(sample) for sample in samples)]
        except ServerGoneError as error:
            raise RewardGoneError(f"rewards.{self.name}: {error}") from error
        except ValueError as error:
            raise UserError(f"rewards.{self.name}: {error}.") from error

    def form(self, sample: Sample) -> Conversation:
        """A completion that was cut off has no end in either form, as in `rltk.rewards.text`."""
        if self.reward.send == "text":
            return scored_text(self.renderer, sample, self.renderer.tokenizer)
        messages = [message._asdict() for message in conversation(self.renderer, sample)]
        return CutOff(messages) if sample.rollout.is_truncated else messages
