"""The sampler of `rollout.engine = vllm`, from a recipe."""

from importlib.util import find_spec
from pathlib import Path

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rltk.errors import UserError
from rltk.recipe.locate import expanded
from rltk.recipe.schema import Recipe
from rltk.rollout.sampler import Sampler
from rltk.rollout.servers.adapters import AdapterOnServers, Shelf
from rltk.rollout.servers.fleet import Fleet, connect
from rltk.rollout.servers.sampler import ServerSampler


def reach_servers(recipe: Recipe) -> Fleet | None:
    """Those that the recipe names, each of which has answered; None where it names none. No weights load for this."""
    if recipe.rollout.engine != "vllm":
        return None
    if recipe.tune.type == "full" and find_spec("vllm") is None:
        raise UserError(
            "rollout.engine = vllm with tune.type = full needs vLLM in this environment, which moves the weights; "
            "install it with: pip install 'rltk[vllm]', or use rollout.engine=auto."
        )
    return connect(recipe.rollout) if recipe.rollout.servers else None


def open_sampler(
    recipe: Recipe,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    fleet: Fleet | None,
    *,
    stops: tuple[int, ...],
    run: Path,
) -> Sampler:
    """Samples from `model` as it is at the time of the call; `run` is the folder of the run."""
    options = recipe.rollout
    if isinstance(model, PeftModel):
        assert fleet is not None, "the schema demands servers for an adapter"
        name = f"{recipe.name}-{run.resolve().name}"
        folder = run / "adapters" if options.adapters is None else expanded(options.adapters) / name
        weights = AdapterOnServers(model, recipe.model, Shelf(folder, fleet), name=name)
        return ServerSampler(fleet, weights, stops=stops, in_flight=options.in_flight)
    from rltk.rollout.servers.whole import ColocatedSampler, WholeOnServers  # TRL's imports are long, vLLM's longer

    assert isinstance(model, PreTrainedModel)
    if fleet is None:
        return ColocatedSampler(recipe, model, tokenizer, stops=stops)
    return ServerSampler(fleet, WholeOnServers(model, tokenizer, fleet), stops=stops, in_flight=options.in_flight)
