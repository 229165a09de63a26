"""NTK-1: whether an adapter sees the learning problem that full fine-tuning sees, by tangent kernels at the start.

The kernel of two tokens is the inner product of the gradients of their log-probabilities (Malladi et al. 2022, arXiv
2210.05643). For a linear layer with inputs x and output gradients g it is sum_tt' (g_t . g'_t') (x_t . x'_t'). With B
at zero LoRA's is the same with A x for x: so A alone decides. Kernels are averaged over draws of A and compared by
centred alignment (CKA).

Shapes: K tokens whose log-probability is taken, T positions, I inputs, O outputs, R rank, D draws of A.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rltk.compare.experiments.small import EMBEDDED, base_model, batches
from rltk.compare.outcome import Outcome, judged
from rltk.models.adapters import is_attention, linear_layers
from rltk.recipe.fields import Count, Fraction, Section, Text
from rltk.seeds import derive

DRAWS = 500


class Settings(Section):
    model: Text = EMBEDDED
    texts: Count = 8
    tokens: Count = 16
    """Length of a text; each of its tokens but the first has its gradient taken."""
    rank: Count = 8
    draws: Count = 8
    """Draws of A."""
    least: Fraction = 0.95
    """Alignment that all layers together must reach."""


def measure(settings: Settings) -> Outcome:
    model = base_model(settings.model)
    model.requires_grad_(True)  # so that gradients reach every layer's output; none of a weight is kept
    full_KK, lora_DKK, attention_DKK = kernels(model, settings)
    every, only = alignments(full_KK, lora_DKK), alignments(full_KK, attention_DKK)
    differences = every[1:] - only[1:]
    interval = quantiles(every[1:])
    passed = every[0].item() >= settings.least and quantiles(differences)[0] > 0
    summary = f"alignment {every[0]:.3f} for all layers, {only[0]:.3f} for attention alone"
    details = {"attention": only[0].item(), "all_minus_attention": quantiles(differences), "tokens": len(full_KK)}
    return Outcome(judged(passed), summary, every[0].item(), interval, details)


def kernels(model: PreTrainedModel, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Full fine-tuning's kernel, and those of adapters on all layers and on attention, for each draw of A."""
    rows = batches(settings.model, steps=1, texts=settings.texts, tokens=settings.tokens)[0]
    count = settings.texts * (settings.tokens - 1)
    full_KK = torch.zeros(count, count)
    lora_DKK, attention_DKK = torch.zeros(2, settings.draws, count, count)
    for name, layer in linear_layers(model):  # one layer at a time, or gradients would not fit
        x_KTI, g_KTO = layer_gradients(model, layer, rows)
        full_KK += gram(x_KTI, g_KTO)
        for draw in range(settings.draws):
            added_KK = gram(x_KTI @ drawn_down(x_KTI.shape[-1], settings.rank, draw, name).mT, g_KTO)
            lora_DKK[draw] += added_KK
            if is_attention(name):
                attention_DKK[draw] += added_KK
    return full_KK, lora_DKK, attention_DKK


def layer_gradients(model: nn.Module, layer: nn.Module, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The layer's inputs, and the gradients of its outputs, for each token's log-probability: a row of a batch each."""
    inputs, gradients = [], []
    for ids_T in rows:
        targets = torch.arange(len(ids_T) - 1, device=ids_T.device)
        with caught(layer) as ends:
            logits_KTV = model(input_ids=ids_T.repeat(len(targets), 1), use_cache=False).logits
            logprobs_K = logits_KTV[targets, targets].log_softmax(-1)[targets, ids_T[1:]]
        x_KTI, y_KTO = ends
        inputs.append(x_KTI.detach().float().cpu())
        gradients.append(torch.autograd.grad(logprobs_K.sum(), y_KTO)[0].float().cpu())
    return torch.cat(inputs), torch.cat(gradients)


@contextmanager
def caught(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What goes into the layer and what comes out of it."""
    ends: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        ends.extend((args[0], output))

    handle = layer.register_forward_hook(keep)
    try:
        yield ends
    finally:
        handle.remove()


def gram(x_KTI: Tensor, g_KTO: Tensor) -> Tensor:
    """Inner products of the gradients sum_t g_t x_t^T."""
    flat = torch.einsum("kto,kti->koi", g_KTO, x_KTI).flatten(1)
    return flat @ flat.mT


def drawn_down(inputs: int, rank: int, draw: int, name: str) -> Tensor:
    """An A as PEFT draws it, uniform within 1 / sqrt(inputs)."""
    generator = torch.Generator().manual_seed(derive(draw, "tangent", name))
    return (torch.rand(rank, inputs, generator=generator) * 2 - 1) / inputs**0.5


def alignments(full_KK: Tensor, drawn_DKK: Tensor) -> Tensor:
    """CKA of the kernel averaged over draws, first over all and then over bootstrap resamples of them."""
    generator = torch.Generator().manual_seed(0)
    count = len(drawn_DKK)
    picked = [torch.arange(count), *(torch.randint(count, (count,), generator=generator) for _ in range(DRAWS))]
    centred_KK, flat = centred(full_KK), torch.stack([centred(kernel) for kernel in drawn_DKK])
    with_full_D = (flat * centred_KK).sum((1, 2))
    among_DD = torch.einsum("dij,eij->de", flat, flat)
    return torch.stack([with_full_D[p].sum() / (centred_KK.norm() * among_DD[p][:, p].sum().sqrt()) for p in picked])


def centred(kernel_KK: Tensor) -> Tensor:
    return kernel_KK - kernel_KK.mean(0) - kernel_KK.mean(1, keepdim=True) + kernel_KK.mean()


def quantiles(values: Tensor) -> tuple[float, float]:
    low, high = values.quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high
