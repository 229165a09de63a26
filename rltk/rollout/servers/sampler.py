"""The `vllm` engine with servers: one request a prompt, many in flight, each to the server with the fewest.

A request that fails is tried again, so a server may restart in the middle; nothing is learned from a step before all
its completions are there.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from rltk_reward_models.http_client import break_off

from rltk.errors import UserError
from rltk.rollout.sampler import Rollout, Sampling
from rltk.rollout.servers.answer import broken, read_answer
from rltk.rollout.servers.fleet import Fleet
from rltk.rollout.servers.server import BROKEN_LOGITS, ModelServer, RefusedError
from rltk.seeds import derive


class Weights(Protocol):
    """What trains, as servers have it."""

    def bring(self) -> None:
        """What is sampled from now on is the policy as it is now."""
        ...

    def name_on(self, server: ModelServer) -> str:
        """The name that this server knows it by."""
        ...


class ServerSampler:
    def __init__(self, fleet: Fleet, weights: Weights, *, stops: tuple[int, ...], in_flight: int) -> None:
        """`in_flight` requests at once to each server."""
        self.fleet, self.weights, self.stops = fleet, weights, stops
        self.in_flight = in_flight * len(fleet.servers)

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        self.weights.bring()
        stop = threading.Event()
        futures: list[Future[list[Rollout]]] = []
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix="rollouts") as pool:
            try:
                for index, prompt in enumerate(prompts):
                    futures.append(pool.submit(self.complete, index, prompt, group, sampling, seed, stop))
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()  # the first failure, while others still wait for their turn
                return [future.result() for future in futures]
            finally:
                break_off(pool, futures, stop, self.fleet.abort)
                self.fleet.hang_up()

    def complete(
        self, index: int, prompt: Sequence[int], group: int, sampling: Sampling, seed: int, stop: threading.Event
    ) -> list[Rollout]:
        request = self.request(index, prompt, group, sampling, seed)

        def ask(server: ModelServer) -> list[Rollout]:
            answer = server.complete(self.weights.name_on(server), request)
            try:
                return read_answer(answer, prompt, group, self.stops)
            except ValueError as error:
                raise UserError(f"{server.url} gave {error}, which nothing can be learned from.") from error

        try:
            return self.fleet.ask(ask, stop)
        except RefusedError as error:
            if error.code != BROKEN_LOGITS:
                raise
            return [broken()] * group

    def request(self, index: int, prompt: Sequence[int], group: int, sampling: Sampling, seed: int) -> dict[str, Any]:
        """All that decides what is drawn, since what is left out a server takes from the model's own preferences.

        `vllm_xargs`, which vLLM passes over, lets `rltk serve` draw what the native engine would: the completions of
        this prompt have the random numbers of their places among those of all prompts.
        """
        return {
            "prompt": list(prompt),
            "n": group,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop_token_ids": list(self.stops),
            "seed": derive(seed, "prompt", index),
            "logprobs": 0,
            "return_token_ids": True,
            "vllm_xargs": {"stream_seed": seed, "stream_row": index * group},
        }
