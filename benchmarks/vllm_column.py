"""vLLM's own engine beside rltk's, in the process that measures; it has a column where vLLM is installed."""

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from rltk.export.source import base_location
from rltk.recipe.schema import Model
from rltk.rollout.sampler import Rollout, Sampling
from rltk.rollout.servers.adapters import save_adapter
from rltk.rollout.servers.answer import rollout

MEMORY = 0.4
"""Share of the GPU's memory; the other engines need theirs."""


def is_there() -> bool:
    return find_spec("vllm") is not None


class VllmColumn:
    """Samples from the model as it is now: of LoRA the base and this adapter, never merged. No token ends anything."""

    def __init__(self, path: str, model: torch.nn.Module) -> None:
        from vllm import LLM  # pyright: ignore[reportMissingImports]  # optional

        is_lora = isinstance(model, PeftModel)
        options: dict[str, Any] = {"enable_lora": is_lora, "logprobs_mode": "processed_logprobs", "dtype": "bfloat16"}
        self.engine = LLM(model=base_location(path), gpu_memory_utilization=MEMORY, **options)
        self.adapter = saved(path, model) if isinstance(model, PeftModel) else None

    def sample(
        self, prompts: Sequence[Sequence[int]], group: int, sampling: Sampling, *, seed: int
    ) -> list[list[Rollout]]:
        from vllm import SamplingParams  # pyright: ignore[reportMissingImports]  # optional

        wanted = SamplingParams(n=group, max_tokens=sampling.max_new_tokens, ignore_eos=True, logprobs=0, seed=seed)
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        answered = self.engine.generate(given, wanted, lora_request=self.adapter, use_tqdm=False)
        return [[self.read(one) for one in answer.outputs] for answer in answered]

    def read(self, output: Any) -> Rollout:
        pairs = zip(output.token_ids, output.logprobs, strict=True)
        logprobs = [likeliest[token].logprob for token, likeliest in pairs]
        return rollout(list(output.token_ids), logprobs, is_truncated=True)


def saved(path: str, model: PeftModel) -> Any:
    from vllm.lora.request import LoRARequest  # pyright: ignore[reportMissingImports]  # optional

    folder = Path(tempfile.mkdtemp()) / "adapter"
    save_adapter(model, Model(path=path), folder)
    return LoRARequest("policy", 1, str(folder))
