"""Log-probabilities and entropies of completion tokens under the policy, in chunks.

Only completion positions reach the output head, and they do so a chunk at a time, recomputed in the backward pass:
no tensor of [B, T, V] exists. Shapes: B sequences, L prompt and completion tokens, T completion tokens (padded on the
right), N scored tokens, H hidden size, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rltk.models.modes import evaluating
from rltk.models.packing import Group, Layout, pack, packed

CHUNK = 2**26
"""Numbers of vocabulary size held at once: 256 MiB in float32."""
ARRAYS = 5
"""Arrays of the logits' shape that live at the same time: logits, what is made of them, and their gradients."""


class Scores(NamedTuple):
    logprobs_BT: Tensor
    """Zero where there is no token."""
    entropy_BT: Tensor
    """In nats, without gradient."""
    values_BT: Tensor | None = None
    """Of the state before each token, where a value head was given."""


class Rows(NamedTuple):
    """Sequences padded on the right: causal attention never looks there, so no attention mask is needed."""

    ids_BL: Tensor
    scored_BL: Tensor
    """True at the position that predicts a completion token, which is the one before it."""
    mask_BT: Tensor
    """True where there is a completion token."""

    def to(self, device: torch.device) -> "Rows":
        return Rows(*(tensor.to(device) for tensor in self))


def make_rows(prompts: Sequence[Sequence[int]], completions: Sequence[Tensor]) -> Rows:
    lengths = [(len(prompt), len(tokens)) for prompt, tokens in zip(prompts, completions, strict=True)]
    ids_BL = torch.zeros(len(lengths), max(p + t for p, t in lengths), dtype=torch.long)
    scored_BL = torch.zeros_like(ids_BL, dtype=torch.bool)
    mask_BT = torch.zeros(len(lengths), max(t for _, t in lengths), dtype=torch.bool)
    for row, (p, t) in enumerate(lengths):
        ids_BL[row, :p], ids_BL[row, p : p + t] = torch.tensor(prompts[row]), completions[row]
        scored_BL[row, p - 1 : p + t - 1] = True
        mask_BT[row, :t] = True
    return Rows(ids_BL, scored_BL, mask_BT)


def score(
    model: nn.Module, rows: Rows, temperature: float, chunk: int = CHUNK, value_head: nn.Linear | None = None
) -> Scores:
    """Log-probabilities under softmax(logits / temperature), which is what was sampled from."""
    hidden_NH = predicting(model, rows)
    targets_N = rows.ids_BL.roll(-1, dims=1)[rows.scored_BL]
    logprobs_N, entropy_N = chunked_logprobs(Head(model), hidden_NH, targets_N, temperature, chunk)
    values_BT = None if value_head is None else padded(values_of(value_head, hidden_NH), rows.mask_BT)
    # One row's scored tokens are consecutive in both masks, so the flat order is the same.
    return Scores(padded(logprobs_N, rows.mask_BT), padded(entropy_N, rows.mask_BT), values_BT)


def score_packed(model: nn.Module, layout: Layout, temperature: float, value_head: nn.Linear | None = None) -> Scores:
    """The same for groups that share their prompts; `packed(model, layout)` must be in force."""
    hidden_SH, is_token_BT = predicting_packed(model, layout), rows_of(layout)
    logprobs_S, entropy_S = chunked_logprobs(Head(model), hidden_SH, layout.target_S, temperature, CHUNK)
    values_BT = None if value_head is None else padded(values_of(value_head, hidden_SH), is_token_BT)
    return Scores(padded(logprobs_S, is_token_BT), padded(entropy_S, is_token_BT), values_BT)


def evaluate_states(model: nn.Module, rows: Rows, value_head: nn.Linear) -> Tensor:
    """[B, T], the value of the state before each completion token, from the trunk that `model` computes now."""
    return padded(values_of(value_head, predicting(model, rows)), rows.mask_BT)


def evaluate_states_packed(model: nn.Module, layout: Layout, value_head: nn.Linear) -> Tensor:
    """The same for groups that share their prompts; `packed(model, layout)` must be in force."""
    return padded(values_of(value_head, predicting_packed(model, layout)), rows_of(layout))


def values_of(value_head: nn.Linear, hidden_NH: Tensor) -> Tensor:
    """In float32: a value is regressed on, and bfloat16 has steps of 1/128 around 1."""
    with torch.autocast(hidden_NH.device.type, enabled=False):
        return value_head(hidden_NH.to(value_head.weight.dtype))[:, 0]


def predicting(model: nn.Module, rows: Rows) -> Tensor:
    """[N, H], what the model hands to its head at the positions that predict completion tokens."""
    return last_hidden(model, rows.ids_BL)[rows.scored_BL]


def predicting_packed(model: nn.Module, layout: Layout) -> Tensor:
    # Without an attention mask transformers would take the positions for those of a packing of its own.
    inputs = {"position_ids": layout.positions_1N, "attention_mask": torch.ones_like(layout.ids_1N)}
    return last_hidden(model, layout.ids_1N, **inputs)[0, layout.predictor_S]


def rows_of(layout: Layout) -> Tensor:
    """[B, T], True where a completion has a token."""
    is_token_BT = layout.is_completion_PGT.flatten(0, 1)
    return is_token_BT[is_token_BT[:, 0]]  # groups smaller than the largest leave rows empty


def padded(values_N: Tensor, is_value_BT: Tensor) -> Tensor:
    """The values where the mask is True, in order; zero elsewhere."""
    return values_N.new_zeros(is_value_BT.shape).masked_scatter(is_value_BT, values_N)


def packs_faithfully(model: nn.Module) -> bool:
    """Whether packing gives this model's own log-probabilities, tried on a few tokens.

    It does not where tokens mix by other means than attention (state-space layers, say).
    """
    device = next(model.parameters()).device
    groups = [Group([1, 2, 3], [torch.tensor([4, 5]), torch.tensor([6])]), Group([3], [torch.tensor([2, 1, 5])])]
    layout = pack(groups, device)
    rows = make_rows([g.prompt for g in groups for _ in g.completions], [c for g in groups for c in g.completions])
    with evaluating(model), torch.no_grad():
        try:
            with packed(model, layout):
                found_BT = score_packed(model, layout, 1.0).logprobs_BT
        except (ValueError, TypeError, AttributeError, AssertionError, IndexError, RuntimeError):
            return False  # the model's code has no place for another attention
        expected_BT = score(model, rows.to(device), 1.0).logprobs_BT
    return torch.allclose(found_BT, expected_BT, atol=1e-3)


def last_hidden(model: nn.Module, ids_BL: Tensor, **inputs: Any) -> Tensor:
    """What the model hands to its output head, [B, L, H], for any architecture: the head is given no position."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        caught.append(args[0])
        return (args[0][:, :0], *args[1:])

    head = model.get_output_embeddings()  # pyright: ignore[reportCallIssue]  # nn.Module's attributes are untyped
    handle = head.register_forward_pre_hook(catch)
    try:
        model(input_ids=ids_BL, use_cache="past_key_values" in inputs, **inputs)
    finally:
        handle.remove()
    return caught[0]


class Head:
    """Hidden states to logits as the model does it, including what some architectures do after the matrix product."""

    def __init__(self, model: nn.Module) -> None:
        config = model.config.get_text_config()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        self.project = model.get_output_embeddings()  # pyright: ignore[reportCallIssue]
        self.softcap = getattr(config, "final_logit_softcapping", None)
        """Gemma 2: logits are squashed by softcap * tanh(logits / softcap)."""
        self.factor = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        """Cohere multiplies, Granite divides."""

    def __call__(self, hidden_NH: Tensor) -> Tensor:
        logits_NV = self.project(hidden_NH).float()
        if self.factor != 1:
            logits_NV = logits_NV * self.factor
        return logits_NV if self.softcap is None else self.softcap * torch.tanh(logits_NV / self.softcap)


def has_known_head(model: nn.Module) -> bool:
    """Whether `Head` computes this model's logits, tried on a few tokens: architectures invent scales and caps."""
    ids_BL = torch.arange(1, 5, device=next(model.parameters()).device)[None]
    with evaluating(model), torch.no_grad():
        expected = model(input_ids=ids_BL, use_cache=False).logits.float()
        found = Head(model)(last_hidden(model, ids_BL))
    return bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


def chunked_logprobs(
    head: Head, hidden_NH: Tensor, targets_N: Tensor, temperature: float, chunk: int
) -> tuple[Tensor, Tensor]:
    size = max(1, chunk // (ARRAYS * head.project.weight.shape[0]))

    def one_chunk(hidden_CH: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor]:
        logits_CV = head(hidden_CH)
        if temperature != 1:
            logits_CV = logits_CV / temperature
        total_C = logits_CV.logsumexp(-1)
        with torch.no_grad():  # entropy = total - sum p * logit, with one array beside the logits
            expected_C = (logits_CV - total_C[:, None]).exp_().mul_(logits_CV).sum(-1)
        return logits_CV.gather(1, targets_C.unsqueeze(1))[:, 0] - total_C, total_C.detach() - expected_C

    chunks = list(zip(hidden_NH.split(size), targets_N.split(size), strict=True))
    if len(chunks) == 1 or not torch.is_grad_enabled():
        parts = [one_chunk(*part) for part in chunks]
    else:
        parts = [checkpoint(one_chunk, *part, use_reentrant=False) for part in chunks]
    return torch.cat([logprobs for logprobs, _ in parts]), torch.cat([entropy for _, entropy in parts])
