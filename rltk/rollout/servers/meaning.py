"""What a server's log-probabilities are of. Training needs those of the softmax at the sampling temperature.

vLLM has `--logprobs-mode`: raw_logprobs, its default, are at temperature 1 whatever the sampling; processed_logprobs
are at the sampling temperature, and after top-k, top-p and min-p, renormalized over what is left. At temperature 1 with
nothing cut off both are the same. `rltk serve` gives what training needs unless told otherwise. Nothing in the API says
which it is, so where it matters the server is asked for the likeliest token at two temperatures, and nothing else left
to draw from.
"""

from typing import Literal

from rltk.errors import UserError
from rltk.recipe.schema import Rollout
from rltk.rollout.servers.server import ModelServer

Meaning = Literal["raw", "processed", "sampling"]
PROMPTS = ([1], [2], [3], [4])
"""Several, since a model may be certain of what follows one of them."""
CLOSE = 1e-3
"""Nats by which the same number may differ."""


def refuse_other_logprobs(server: ModelServer, rollout: Rollout) -> None:
    """UserError for a server whose log-probabilities are not those that train."""
    if rollout.temperature == 1 and not rollout.is_truncated:
        return
    match meaning(server):
        case "raw" if rollout.temperature != 1:
            raise UserError(
                f"{server.url} gives log-probabilities at temperature 1, and rollout.temperature = "
                f"{rollout.temperature:g} trains others; start it with --logprobs-mode processed_logprobs."
            )
        case "processed" if rollout.is_truncated:
            raise UserError(
                f"{server.url} gives log-probabilities after top_k, top_p and min_p, which are not those that train; "
                "set these back, or start it with --logprobs-mode raw_logprobs at rollout.temperature=1."
            )
        case _:
            return


def meaning(server: ModelServer) -> Meaning:
    at_one, at_two = (likeliest(server, temperature) for temperature in (1.0, 2.0))
    if abs(at_one) < CLOSE and abs(at_two) < CLOSE:
        return "processed"  # where one token is left it is certain
    return "raw" if abs(at_one - at_two) < CLOSE else "sampling"


def likeliest(server: ModelServer, temperature: float) -> float:
    """Log-probabilities of the likeliest tokens after the prompts, added up."""
    request = {"max_tokens": 1, "temperature": temperature, "top_k": 1, "logprobs": 0, "seed": 0}
    answers = [server.complete(server.base, {"prompt": prompt, **request}) for prompt in PROMPTS]
    try:
        return sum(answer["choices"][0]["logprobs"]["token_logprobs"][0] for answer in answers)
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{server.url} gives no log-probabilities of its tokens; is it a server of vLLM's?") from error
