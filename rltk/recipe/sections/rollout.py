"""The section `rollout`: how completions are sampled while training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rltk.recipe.fields import Count, Fraction, Positive, Section, Share, Text, Url, Whole, broken_rule

OF_SERVERS = ("servers", "token_file", "adapters", "in_flight", "patience", "timeout")
"""Keys that have a meaning with servers alone."""
OF_VLLM = (*OF_SERVERS, "gpu_memory")
"""Keys that have a meaning with engine vllm alone; they say where completions come from and not which."""

OF_ALL = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""What these keys are where every token may be drawn."""


class Rollout(Section):
    """How completions are sampled while training."""

    engine: Literal["auto", "native", "generate", "vllm"] = "auto"
    """native is rltk's own and fast; generate is that of transformers, for models native cannot run; vllm samples over
    the API of the servers that are named (vLLM's, or `rltk serve`), with full fine-tuning also inside this process."""
    servers: Annotated[tuple[Url, ...], Field(json_schema_extra={"uniqueItems": True})] = ()
    """Addresses of the servers, such as http://127.0.0.1:8000, that share the work; each serves model.path."""
    token_file: Text | None = None
    """File that holds the servers' token, their API key; null where they ask for none."""
    adapters: Text | None = None
    """Folder, seen by the servers under the same path, for the adapter of each step; null is in the run's folder."""
    in_flight: Count = 32
    """Requests at once to each server, of one prompt and its completions each."""
    patience: Positive = 60.0
    """Seconds that all servers may be away before the run ends, to be resumed."""
    timeout: Positive = 600.0
    """Seconds that a server may take for one request."""
    gpu_memory: Share = 0.3
    """Share of the GPU's memory that vLLM takes inside this process."""
    max_new_tokens: Count = 512
    """Length at which a completion is cut off."""
    temperature: Positive = 1.0
    """Softmax temperature of sampling, and of the log-probabilities that are trained."""
    top_k: Whole = 0
    """Sample from the k likeliest tokens only; 0 from all. Log-probabilities that train are of all tokens in any case:
    with fewer to sample from, the gradient is that of another distribution than completions come from."""
    top_p: Share = 1.0
    """Sample from the likeliest tokens that hold this much probability; 1 from all, as what trains (see top_k)."""
    min_p: Fraction = 0.0
    """Sample from tokens at least this likely relative to the likeliest; 0 from all, as what trains (see top_k)."""
    batch: Count | None = None
    """Completions sampled at once: less saves memory; null is all of a step, on a GPU as many as fit."""

    @property
    def truncation(self) -> dict[str, float]:
        """The keys that keep some tokens from ever being drawn, and their values."""
        values = {"top_k": self.top_k, "top_p": self.top_p, "min_p": self.min_p}
        return {key: value for key, value in values.items() if value != OF_ALL[key]}

    @property
    def is_truncated(self) -> bool:
        """Whether some tokens are never drawn."""
        return bool(self.truncation)

    @model_validator(mode="after")
    def _servers_are_for_vllm(self) -> Rollout:
        for key in OF_VLLM:
            is_used = self.engine == "vllm" and (bool(self.servers) == (key != "gpu_memory"))
            if not is_used and getattr(self, key) != type(self).model_fields[key].default:
                where = "without servers" if key == "gpu_memory" else "with servers"
                raise broken_rule(f"has a meaning with engine vllm {where} only; remove it", key, "engine", "servers")
        if self.engine == "vllm" and self.batch is not None:
            raise broken_rule("is not for engine vllm, which decides itself; see in_flight", "batch", "engine")
        if len(set(self.servers)) < len(self.servers):
            raise broken_rule("names a server twice", "servers")
        return self
