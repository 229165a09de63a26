"""Full fine-tuning with vLLM: TRL's `VLLMGeneration` moves all weights, to servers or to an engine in this process.

Its servers are started as TRL's are (VLLM_SERVER_DEV_MODE=1, --weight-transfer-config '{"backend": "nccl"}',
--logprobs-mode processed_logprobs). Shapes: T tokens of one completion.
"""

from collections.abc import Sequence

from accelerate import Accelerator
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.generation.vllm_generation import VLLMGeneration

from rltk.errors import SamplerGoneError
from rltk.recipe.schema import Recipe
from rltk.rollout.sampler import Rollout, Sampling
from rltk.rollout.servers.answer import rollout
from rltk.rollout.servers.fleet import Fleet
from rltk.rollout.servers.server import ModelServer

FIRST_PORT = 51_216
"""Of the group over which a server's weights come; each server has one of its own."""


class Changes:
    """Whether a model's weights have been written to since one last looked."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model, self.seen = model, -1

    def have_come(self) -> bool:
        before, self.seen = self.seen, sum(weight._version for weight in self.model.parameters())
        return before != self.seen


class WholeOnServers:
    """All weights of `model`, sent to every server when they have changed.

    One that restarts has its first weights again and is not told of these before they change: the check of who sampled
    is what finds it.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, fleet: Fleet) -> None:
        self.changes = Changes(model)
        self.links = [
            VLLMGeneration(
                model,
                Accelerator(),
                tokenizer,
                mode="server",
                server_base_url=server.url,
                group_port=FIRST_PORT + index,
                server_timeout=fleet.patience,
            )
            for index, server in enumerate(fleet.servers)
        ]

    def bring(self) -> None:
        if not self.changes.have_come():
            return
        try:
            for link in self.links:
                link.sync_weights()
        except OSError as error:  # that of `requests` is one
            raise SamplerGoneError(f"a server of rollout.servers took no weights ({error}); is it running?") from error

    def name_on(self, server: ModelServer) -> str:
        return server.base


class ColocatedSampler:
    """Samples in an engine of vLLM inside this process, which sleeps while the policy trains.

    vLLM draws from a stream of its own there: a seed of the request would be that of each of its completions, and make
    all of a group the same. So the same arguments do not give the same tokens.
    """

    def __init__(
        self, recipe: Recipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, stops: tuple[int, ...]
    ) -> None:
        self.stops = stops
        self.engine = VLLMGeneration(
            model,
            Accelerator(),
            tokenizer,
            mode="colocate",
            gpu_memory_utilization=recipe.rollout.gpu_memory,
            enable_sleep_mode=True,
            trust_remote_code=recipe.model.trust_remote_code,
            generation_kwargs={"stop_token_ids": list(stops)},
        )

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        engine = self.engine
        engine.max_completion_length, engine.temperature = sampling.max_new_tokens, sampling.temperature
        engine.top_k, engine.top_p, engine.min_p = sampling.top_k, sampling.top_p, sampling.min_p
        # An engine that slept has no weights: `generate` brings those of the policy as it is.
        rows = [list(prompt) for prompt in prompts for _ in range(group)]
        _, completions, logprobs, _ = engine.generate(rows, None, group)
        made = [self.read(tokens, ranked) for tokens, ranked in zip(completions, logprobs, strict=True)]
        return [made[start : start + group] for start in range(0, len(made), group)]

    def read(self, tokens: Sequence[int], ranked: Sequence[Sequence[float | None]]) -> Rollout:
        """TRL gives the likeliest tokens at each place, of which one was asked for: that which was drawn."""
        logprobs = [one for [one] in ranked]
        return rollout(list(tokens), logprobs, is_truncated=not tokens or tokens[-1] not in self.stops)
