"""Both engines sample what the model computes, the same tokens for the same seed, and leave the model as it was."""

import hashlib
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from rltk.errors import UserError
from rltk.models.adapters import adapter_off, adapter_scaled, add_lora
from rltk.models.scoring import make_rows, score
from rltk.recipe.schema import LoRA
from rltk.rollout.engines import choose_engine, make_sampler, runs_natively
from rltk.rollout.sampler import Rollout, Sampling
from tests import tiny
from tests.models.mixtures import mixture
from tests.models.test_scoring import STATES, tiny_model
from tests.onpolicy.made import off_base

ENGINES: tuple[str, ...] = ("native", "generate")
PROMPTS = [[7, 8, 9, 10, 11], [12], list(range(20, 61))]
"""Of very different lengths."""
LONG = Sampling(30)
STOPS = (4, *range(31, 1024, 15))
"""So many that completions of random models end at all lengths."""


def sample(
    engine: str,
    model: nn.Module,
    *,
    prompts: Sequence[list[int]] = PROMPTS,
    group: int = 3,
    seed: int = 5,
    batch: int = 64,
    stops: tuple[int, ...] = STOPS,
    sampling: Sampling = LONG,
) -> list[list[Rollout]]:
    sampler = make_sampler(engine, model, stops=stops, pad=0, batch=batch, dtype=torch.float32)
    return sampler.sample(prompts, group, sampling, seed=seed)


def flat(groups: list[list[Rollout]]) -> list[Rollout]:
    return [rollout for group in groups for rollout in group]


def tokens(groups: list[list[Rollout]]) -> list[list[int]]:
    return [rollout.tokens_T.tolist() for rollout in flat(groups)]


def policy(architecture: str, arm: str) -> nn.Module:
    model = tiny.model(architecture)
    return model if arm == "full" else off_base(add_lora(model, LoRA(rank=4)))


def difference(
    model: nn.Module, prompts: Sequence[list[int]], groups: list[list[Rollout]], temperature: float
) -> float:
    """The largest between the sampler's log-probabilities and those the trainer computes."""
    rollouts = [(prompt, rollout) for prompt, group in zip(prompts, groups, strict=True) for rollout in group]
    rows = make_rows([prompt for prompt, _ in rollouts], [rollout.tokens_T for _, rollout in rollouts])
    with torch.no_grad():
        scored_BT = score(model, rows, temperature).logprobs_BT
    return max(
        (row_T[: len(rollout.tokens_T)] - rollout.logprobs_T).abs().max().item()
        for row_T, (_, rollout) in zip(scored_BT, rollouts, strict=True)
    )


@pytest.mark.parametrize(("engine", "arm"), list(product(ENGINES, ["lora", "full"])))
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_sampled_log_probabilities_are_those_that_train(architecture: str, arm: str, engine: str) -> None:
    """Completions end at different times, so rows leave the batch; Gemma's window of 16 is passed."""
    model = policy(architecture, arm)
    groups = sample(engine, model, group=6, sampling=Sampling(30, 0.8))
    assert difference(model, PROMPTS, groups, 0.8) < 1e-5
    assert difference(model, PROMPTS, groups, 1.0) > 0.1
    lengths = {len(rollout.tokens_T) for rollout in flat(groups)}
    assert len(lengths) > 5 and max(lengths) > 20


@pytest.mark.parametrize(("engine", "arm"), list(product(ENGINES, ["lora", "full"])))
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_in_bfloat16_they_differ_by_rounding_and_by_nothing_else(architecture: str, arm: str, engine: str) -> None:
    """A scale of alpha / rank that is no power of two, so that it rounds; an adapter left out or doubled is far off."""
    model = tiny.model(architecture)
    if arm == "lora":
        model = off_base(add_lora(model, LoRA(rank=4, alpha=6)))
    sampler = make_sampler(engine, model, stops=STOPS, pad=0, batch=64, dtype=torch.bfloat16)
    groups = sampler.sample(PROMPTS, 6, Sampling(16), seed=5)
    with torch.autocast("cpu", torch.bfloat16):
        assert mean_difference(model, groups) < 0.03
    if arm == "lora":
        assert isinstance(model, PeftModel)
        for wrong in (adapter_off(model), adapter_scaled(model, 2.0)):
            with torch.autocast("cpu", torch.bfloat16), wrong:
                assert mean_difference(model, groups) > 0.15


def mean_difference(model: nn.Module, groups: list[list[Rollout]]) -> float:
    rows = make_rows(
        [p for p, group in zip(PROMPTS, groups, strict=True) for _ in group], [r.tokens_T for r in flat(groups)]
    )
    with torch.no_grad():
        scored_N = score(model, rows, 1.0).logprobs_BT[rows.mask_BT]
    return (scored_N - torch.cat([rollout.logprobs_T for rollout in flat(groups)])).abs().mean().item()


ODD = {
    "gpt_oss": lambda: mixture("gpt_oss"),  # attention sinks
    "phimoe": lambda: tiny_model("phimoe"),  # a window that the attention function is not told of
    "qwen2_moe": lambda: tiny_model("qwen2_moe"),
    "llama4_text": lambda: tiny_model("llama4_text"),  # chunks
    "gemma2": lambda: tiny_model("gemma2"),  # capped scores and capped logits
    "granite": lambda: tiny_model("granite"),
    "gpt2": lambda: tiny_model("gpt2"),  # learned positions
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("architecture", ODD)
def test_so_are_those_of_architectures_with_ways_of_their_own(architecture: str, engine: str) -> None:
    model, prompts = ODD[architecture](), [list(range(5, 25)), [30], [40, 41, 42]]
    groups = sample(engine, model, prompts=prompts, stops=(4, 33, 50), sampling=Sampling(24))
    assert difference(model, prompts, groups, 1.0) < 1e-5
    assert choose_engine("auto", model) == "native"


@pytest.mark.parametrize(
    "sampling", [Sampling(20, 0.0), Sampling(20), Sampling(20, 0.8, top_k=20, top_p=0.9, min_p=0.01)]
)
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_both_engines_draw_the_same_tokens(architecture: str, sampling: Sampling) -> None:
    model = policy(architecture, "lora")
    native, generate = (sample(engine, model, sampling=sampling) for engine in ENGINES)
    assert tokens(native) == tokens(generate)
    for ours, theirs in zip(flat(native), flat(generate), strict=True):
        torch.testing.assert_close(ours.logprobs_T, theirs.logprobs_T, rtol=0, atol=1e-5)
        assert ours.is_truncated == theirs.is_truncated
    assert len({tuple(row) for row in tokens(native)}) == (3 if sampling.temperature == 0 else 9)


@pytest.mark.parametrize("engine", ENGINES)
def test_greedy_takes_the_likeliest_token_of_the_full_forward_pass(engine: str) -> None:
    model = tiny.model("gemma3")
    for prompt, (rollout,) in zip(PROMPTS, sample(engine, model, group=1, sampling=Sampling(12, 0.0)), strict=True):
        row = list(prompt)
        for token in rollout.tokens_T.tolist():
            with torch.no_grad():
                assert token == int(model(input_ids=torch.tensor([row])).logits[0, -1].argmax())
            row.append(token)
    assert difference(model, PROMPTS, sample(engine, model, sampling=Sampling(12, 0.0)), 1.0) < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_the_likeliest_token_is_all_that_top_k_one_leaves(engine: str) -> None:
    model = tiny.model("qwen3")
    assert tokens(sample(engine, model, sampling=Sampling(15, 1.0, top_k=1))) == tokens(
        sample(engine, model, sampling=Sampling(15, 0.0))
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_each_completion_ends_at_its_first_stop_token_or_at_the_limit(engine: str) -> None:
    found, limit = flat(sample(engine, tiny.model("qwen3"), group=16, sampling=Sampling(40))), 40
    for rollout in found:
        row = rollout.tokens_T.tolist()
        assert not set(row[:-1]) & set(STOPS)
        assert rollout.is_truncated == (row[-1] not in STOPS)
        assert len(row) == limit if rollout.is_truncated else len(row) <= limit
        assert rollout.logprobs_T.shape == rollout.tokens_T.shape and (rollout.logprobs_T < 0).all()
    assert len({rollout.tokens_T[-1].item() for rollout in found if not rollout.is_truncated}) > 3  # several stops
    assert {rollout.is_truncated for rollout in found} == {True, False}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stop_token_at_the_limit_is_an_end_and_not_a_truncation(engine: str) -> None:
    model = tiny.model("qwen3")
    free = sample(engine, model, stops=(1023,), sampling=Sampling(6))
    last = free[0][0].tokens_T[-1].item()
    assert last not in free[0][0].tokens_T[:-1]
    stopped = sample(engine, model, stops=(1023, int(last)), sampling=Sampling(6))
    assert tokens(stopped)[0] == tokens(free)[0]
    assert (free[0][0].is_truncated, stopped[0][0].is_truncated) == (True, False)


@pytest.mark.parametrize("engine", ENGINES)
def test_all_may_end_with_their_first_token(engine: str) -> None:
    for sampling in (Sampling(9), Sampling(1)):
        found = flat(sample(engine, tiny.model("qwen3"), stops=tuple(range(1024)), sampling=sampling))
        assert [len(rollout.tokens_T) for rollout in found] == [1] * 9
        assert not any(rollout.is_truncated for rollout in found)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("architecture", ["qwen3", "qwen3_moe"])
def test_how_many_are_sampled_at_once_changes_nothing(architecture: str, engine: str) -> None:
    model = policy(architecture, "lora")
    brief = Sampling(12)
    expected = tokens(sample(engine, model, sampling=brief))
    for batch in (1, 4, 1000):
        assert tokens(sample(engine, model, batch=batch, sampling=brief)) == expected
    assert len({tuple(row) for row in expected}) == 9


@pytest.mark.parametrize("engine", ENGINES)
def test_groups_of_one_and_single_prompts(engine: str) -> None:
    model = tiny.model("qwen3")
    ones = sample(engine, model, group=1)
    assert [len(group) for group in ones] == [1, 1, 1]
    assert difference(model, PROMPTS, ones, 1.0) < 1e-5
    for prompt, group in product(PROMPTS, (1, 4)):
        found = sample(engine, model, prompts=[prompt], group=group)
        assert [len(rollouts) for rollouts in found] == [group]
        assert difference(model, [prompt], found, 1.0) < 1e-5
    assert tokens(sample(engine, model, prompts=PROMPTS[:1], group=3)) == tokens(sample(engine, model))[:3]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_seed_is_all_that_decides(engine: str) -> None:
    model = tiny.model("qwen3")
    torch.manual_seed(1)
    first, state = tokens(sample(engine, model)), torch.get_rng_state()
    torch.manual_seed(2)
    assert tokens(sample(engine, model)) == first
    assert tokens(sample(engine, model, seed=6)) != first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers were used up


@pytest.mark.parametrize("engine", ENGINES)
def test_the_first_token_comes_as_often_as_the_softmax_says(engine: str) -> None:
    """Through a whole engine, at a temperature that is not one. V: the likeliest tokens."""
    model, count, temperature = tiny.model("qwen3"), 2000, 0.5
    with torch.no_grad():
        expected_V = (model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1] / temperature).softmax(0)
    found = sample(engine, model, prompts=PROMPTS[:1], group=count, batch=count, sampling=Sampling(1, temperature))
    counts_V = torch.bincount(torch.tensor(tokens(found))[:, 0], minlength=len(expected_V))
    likely_V = expected_V.topk(8).indices
    for wanted, seen in zip(expected_V[likely_V].tolist(), (counts_V[likely_V] / count).tolist(), strict=True):
        assert abs(seen - wanted) <= 4 * (wanted * (1 - wanted) / count) ** 0.5
    assert expected_V[likely_V].sum() > 0.3


def state_of(model: nn.Module) -> dict[str, Any]:
    """All that sampling must leave alone."""
    base = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    assert base.generation_config is not None
    return {
        "weights": {name: digest(weight) for name, weight in model.state_dict().items()},
        "types": {name: (weight.dtype, weight.requires_grad) for name, weight in model.named_parameters()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()),
        "forwards": [name for name, module in model.named_modules() if "forward" in vars(module)],
        "attention": base.config._attn_implementation,
        "generation": base.generation_config.to_dict(),
        "gradients": [name for name, weight in model.named_parameters() if weight.grad is not None],
    }


def digest(tensor: Tensor) -> str:
    return hashlib.blake2b(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


class InterruptionError(Exception):
    pass


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("engine", "arm"), list(product(ENGINES, ["lora", "full"])))
def test_the_model_is_left_as_it_was_even_after_an_error(engine: str, arm: str, attention: str) -> None:
    model = policy("qwen3", arm)
    base = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    base.set_attn_implementation(attention)
    base.generation_config = GenerationConfig(top_k=20, repetition_penalty=1.3, eos_token_id=[4, 9])
    model.train()
    next(module for name, module in model.named_modules() if name.endswith("layers.1.mlp")).eval()  # one stays off
    before = state_of(model)
    assert before["attention"] == attention and len(set(before["modes"].values())) == 2
    sample(engine, model)
    assert state_of(model) == before

    calls = 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise InterruptionError

    handle = next(m for name, m in model.named_modules() if name.endswith("layers.1")).register_forward_hook(interrupt)
    with pytest.raises(InterruptionError):
        sample(engine, model)
    handle.remove()
    assert calls == 4
    assert state_of(model) == before
    assert len(tokens(sample(engine, model))) == 9


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_is_off_while_sampling(engine: str) -> None:
    wet = off_base(add_lora(tiny.model("qwen3", attention_dropout=0.5), LoRA(rank=4, dropout=0.5))).train()
    dry = off_base(add_lora(tiny.model("qwen3"), LoRA(rank=4)))
    assert tokens(sample(engine, wet)) == tokens(sample(engine, dry))
    torch.manual_seed(0)
    ids = torch.tensor([PROMPTS[0]])
    assert not torch.equal(wet(input_ids=ids).logits, wet(input_ids=ids).logits)  # it was there to be turned off


PREFERENCES: list[dict[str, Any]] = [
    {"top_k": 2, "do_sample": True},
    {"repetition_penalty": 5.0},
    {"no_repeat_ngram_size": 1},
    {"suppress_tokens": list(range(5, 900))},
    {"forced_eos_token_id": 4},
    {"min_new_tokens": 10},
    {"temperature": 0.01, "do_sample": True},
    {"typical_p": 0.1, "do_sample": True},
    {"num_beams": 3},
    {"guidance_scale": 3.0},
    {"max_length": 7},
    {"stop_strings": ["a"]},
]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("preferences", PREFERENCES, ids=lambda preferences: next(iter(preferences)))
def test_what_a_checkpoint_prefers_when_it_generates_does_not_matter(
    preferences: dict[str, Any], temperature: float
) -> None:
    model = tiny.model("qwen3")
    expected = tokens(sample("generate", model, stops=(4,), sampling=Sampling(10, temperature)))
    model.generation_config = GenerationConfig(**preferences)
    assert tokens(sample("generate", model, stops=(4,), sampling=Sampling(10, temperature))) == expected


CANNOT = ("diffllama", "doge", "bloom", "falcon_h1", "mamba", "jetmoe", "deepseek_v3")
"""Attention or state of their own; most would not fail but attend to a completion without its prompt."""


@pytest.mark.parametrize("architecture", CANNOT)
def test_what_the_native_engine_cannot_run_goes_to_generate_or_is_refused(architecture: str) -> None:
    model = cannot(architecture)
    assert not runs_natively(model)
    assert choose_engine("auto", model) == choose_engine("generate", model) == "generate"
    with pytest.raises(UserError, match=f"rollout.engine = native cannot run {type(model).__name__}; use auto"):
        choose_engine("native", model)
    prompts = [[5, 6, 7, 8], [9]]
    groups = sample("generate", model, prompts=prompts, stops=(4, 33), sampling=Sampling(6))
    assert difference(model, prompts, groups, 1.0) < 1e-4


def cannot(architecture: str) -> PreTrainedModel:
    if architecture in ("jetmoe", "deepseek_v3"):
        return mixture(architecture)
    names: dict[str, dict[str, Any]] = {
        "bloom": {"n_head": 4, "n_layer": 2},
        "falcon_h1": STATES,
    }
    return tiny_model(architecture, **names.get(architecture, {}))


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_usual_architectures_run_natively(architecture: str) -> None:
    model = tiny.model(architecture)
    assert choose_engine("auto", model) == choose_engine("native", model) == "native"
    assert choose_engine("generate", model) == "generate"
