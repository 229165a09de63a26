"""Log-probabilities in chunks, and of packed groups, against `model(...).logits`.

Shapes: B rows, L tokens of prompt and completion, T of the completion, V vocabulary.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from rltk.errors import UserError
from rltk.models.load import load_weights
from rltk.models.packing import Group, pack, packed
from rltk.models.scoring import Rows, Scores, has_known_head, make_rows, packs_faithfully, score, score_packed
from rltk.recipe.schema import Model
from tests.models.mixtures import SHAPE, mixture

CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 8},
    "llama": {},
    "gemma3_text": {"head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
    "gemma2": {"head_dim": 8, "sliding_window": 6, "final_logit_softcapping": 2.0, "attn_logit_softcapping": 1.0},
    "granite": {"logits_scaling": 8.0, "residual_multiplier": 0.5, "embedding_multiplier": 4.0},
    "cohere": {"logit_scale": 0.25},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}
WINDOWS: dict[str, dict[str, Any]] = {
    # These two make the window in their mask alone and do not tell the attention function of it.
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 6},
    "qwen2_moe": {
        "num_experts": 4,
        "moe_intermediate_size": 24,
        "shared_expert_intermediate_size": 40,
        "use_sliding_window": True,
        "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "llama4_text": {"num_local_experts": 4, "num_experts_per_tok": 1, "head_dim": 8, "attention_chunk_size": 6},
}
STATES = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
"""Of a tiny Falcon-H1."""
VOCABULARY = 200
PROMPTS = ([5, 6, 7, 8, 9, 10, 11, 12], [30], [41, 42, 43])
LENGTHS = ((12, 3), (9,), (1, 2, 7))
"""Uneven groups; some of the tokens are further from the prompt than a window."""


def tiny_model(architecture: str, **changes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    settings = {
        **SHAPE,
        **CONFIGS.get(architecture, WINDOWS.get(architecture, {})),
        "vocab_size": VOCABULARY,
        **changes,
    }
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **settings)).float().eval()
    return model.requires_grad_(True)


def groups() -> list[Group]:
    generator = torch.Generator().manual_seed(1)
    return [
        Group(prompt, [torch.randint(5, VOCABULARY, (length,), generator=generator) for length in lengths])
        for prompt, lengths in zip(PROMPTS, LENGTHS, strict=True)
    ]


def rows() -> Rows:
    return make_rows([g.prompt for g in groups() for _ in g.completions], [c for g in groups() for c in g.completions])


def by_hand(model: nn.Module, temperature: float) -> Scores:
    """One sequence at a time, without padding, from all logits at once."""
    given = rows()
    logprobs_BT, entropy_BT = torch.zeros(given.mask_BT.shape), torch.zeros(given.mask_BT.shape)
    sequences = [(g.prompt, completion) for g in groups() for completion in g.completions]
    for row, (prompt, completion) in enumerate(sequences):
        ids_1L = torch.cat([torch.tensor(prompt), completion])[None]
        all_1LV = (model(input_ids=ids_1L, use_cache=False).logits.float() / temperature).log_softmax(-1)
        predicting_TV = all_1LV[0, len(prompt) - 1 : -1]
        logprobs_BT[row, : len(completion)] = predicting_TV[range(len(completion)), completion]
        entropy_BT[row, : len(completion)] = -(predicting_TV.exp() * predicting_TV).sum(-1).detach()
    return Scores(logprobs_BT, entropy_BT)


def gradients(model: nn.Module, logprobs_BT: Tensor) -> list[Tensor]:
    """Of a sum in which every token has another weight."""
    weights_BT = torch.linspace(-1, 1, logprobs_BT.numel()).view(logprobs_BT.shape)
    found = torch.autograd.grad((weights_BT * logprobs_BT).sum(), list(model.parameters()), allow_unused=True)
    return [torch.zeros(()) if gradient is None else gradient for gradient in found]


def assert_same(model: nn.Module, found: Scores, expected: Scores, *, relative: float = 1e-6) -> None:
    """Log-probabilities and entropies to 1e-5; the gradient of all weights to `relative` of its norm, each weight's to
    2e-6 of its largest."""
    torch.testing.assert_close(found.logprobs_BT, expected.logprobs_BT, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.entropy_BT, expected.entropy_BT, rtol=0, atol=1e-5)
    assert not found.entropy_BT.requires_grad
    pairs = zip(gradients(model, found.logprobs_BT), gradients(model, expected.logprobs_BT), strict=True)
    apart, norm = 0.0, 0.0
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6 * (1 + theirs.abs().max().item()))
        apart, norm = apart + (ours - theirs).square().sum().item(), norm + theirs.square().sum().item()
    assert math.sqrt(apart) < relative * math.sqrt(norm)


@pytest.mark.parametrize("tokens_in_chunk", [1, 4, 1000])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_chunks_give_the_log_probabilities_entropies_and_gradients_of_all_logits(
    architecture: str, tokens_in_chunk: int
) -> None:
    model = tiny_model(architecture)
    found = score(model, rows(), 0.7, chunk=tokens_in_chunk * VOCABULARY)
    assert_same(model, found, by_hand(model, 0.7))
    assert found.logprobs_BT.std() > 0.05


@pytest.mark.parametrize("architecture", [*CONFIGS, *WINDOWS])
def test_packed_groups_give_the_same(architecture: str) -> None:
    model, layout = tiny_model(architecture), pack(groups(), torch.device("cpu"))
    with packed(model, layout):
        found = score_packed(model, layout, 0.7)
    # Of a sequence alone an expert has other rows, and so other sums: up to 1.4e-6 in float32.
    assert_same(model, found, by_hand(model, 0.7), relative=3e-6 if "moe" in architecture else 1e-6)
    assert packs_faithfully(model)


def test_the_settings_that_change_logits_do_change_these() -> None:
    """Or the tests above would pass without them."""
    plain: dict[str, dict[str, Any]] = {
        "gemma2": {"final_logit_softcapping": None},
        "granite": {"logits_scaling": 1.0},
        "cohere": {"logit_scale": 1.0},
    }
    for architecture, changes in plain.items():
        with torch.no_grad():
            changed = score(tiny_model(architecture, **changes), rows(), 1.0).logprobs_BT
            given = score(tiny_model(architecture), rows(), 1.0).logprobs_BT
        assert (changed - given).abs().max() > 0.1, architecture
    for architecture in WINDOWS:
        wide = {"sliding_window": 100, "attention_chunk_size": 100}
        with torch.no_grad():
            changed = score(tiny_model(architecture, **wide), rows(), 1.0).logprobs_BT
            given = score(tiny_model(architecture), rows(), 1.0).logprobs_BT
        assert (changed - given).abs().max() > 0.1, architecture


def test_temperature_divides_the_logits() -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        ids_1L = torch.tensor([[7, 8, 9]])
        logits_V = model(input_ids=ids_1L).logits[0, 1]
        scored = [score(model, make_rows([[7, 8]], [torch.tensor([9])]), t).logprobs_BT.item() for t in (0.5, 1.0, 2.0)]
    expected = [(logits_V / t).log_softmax(0)[9].item() for t in (0.5, 1.0, 2.0)]
    assert scored == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 3) for value in scored}) == 3


def test_what_stands_where_there_is_no_token_is_zero_and_does_not_matter() -> None:
    model, given = tiny_model("qwen3"), rows()
    with torch.no_grad():
        found = score(model, given, 1.0)
        lengths_B = given.mask_BT.sum(1) + torch.tensor([len(g.prompt) for g in groups() for _ in g.completions])
        is_padding_BL = torch.arange(given.ids_BL.shape[1]) >= lengths_B[:, None]
        other = score(model, given._replace(ids_BL=given.ids_BL.masked_fill(is_padding_BL, 77)), 1.0)
    assert is_padding_BL.sum() > 10
    assert (found.logprobs_BT[~given.mask_BT] == 0).all() and (found.logprobs_BT[given.mask_BT] < 0).all()
    assert torch.equal(found.logprobs_BT, other.logprobs_BT)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made within."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            self.numbers = max(self.numbers, tensor.numel() if isinstance(tensor, Tensor) else 0)
        return made


@pytest.mark.parametrize("is_chunked", [True, False])
def test_no_tensor_holds_all_logits_and_no_logits_are_kept(is_chunked: bool) -> None:
    """The largest tensor is a chunk, or the weight of the head; what waits for the backward pass is smaller still."""
    model, vocabulary, tokens, kept = tiny_model("qwen3", vocab_size=5000), 5000, 120, list[Tensor]()
    given = make_rows([[5] * 4] * 3, [torch.randint(5, 200, (40,)) for _ in range(3)])

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with Largest() as found:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logprobs_BT = score(model, given, 1.0, chunk=10 * vocabulary if is_chunked else 10**9).logprobs_BT
        logprobs_BT.sum().backward()
    assert found.numbers == (vocabulary * 32 if is_chunked else tokens * vocabulary)
    has_logits = any(tensor.shape[-1] == vocabulary and tensor.shape[0] != 32 for tensor in kept)
    assert has_logits != is_chunked


def test_a_head_that_is_not_known_is_refused(tmp_path: Any) -> None:
    """Falcon-H1 multiplies its logits by a number of its own."""
    for factor, is_known in ((1.0, True), (2.0, False)):
        model = tiny_model("falcon_h1", **STATES, lm_head_multiplier=factor)
        assert has_known_head(model) == is_known
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="falcon_h1 scales its logits in a way that rltk does not know"):
        load_weights(Model(path=str(tmp_path)), torch.device("cpu"))


@pytest.mark.parametrize("architecture", ["granite", "gemma2", "cohere", "qwen3"])
def test_a_known_head_is_not(architecture: str) -> None:
    assert has_known_head(tiny_model(architecture))


def test_architectures_that_cannot_be_packed_say_so() -> None:
    """A state that runs along the row; a score that is no key's; and masks that depend on the values."""
    assert not packs_faithfully(tiny_model("falcon_h1", **STATES))
    sinks, layout = mixture("gpt_oss"), pack([Group([1, 2], [torch.tensor([3])])], torch.device("cpu"))
    assert not packs_faithfully(sinks)
    with packed(sinks, layout), pytest.raises(ValueError, match="the model's attention takes s_aux"):
        score_packed(sinks, layout, 1.0)
    assert not packs_faithfully(tiny_model("doge"))
